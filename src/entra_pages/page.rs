//! What the pages say. Everything that did not come from this file is escaped.

use domain::Reason;

/// Plain, readable in light and dark, and of one column.
pub(super) const STYLE: &str = "\
:root{color-scheme:light dark;font:1.0625rem/1.6 system-ui,sans-serif}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:Canvas;color:CanvasText}
main{max-width:34rem;padding:2.5rem 1.5rem}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 1rem}
p{margin:0 0 1rem}
.code{font:600 2rem/1.4 ui-monospace,monospace;letter-spacing:.12em;padding:.6rem 1rem;border:2px solid;border-radius:.5rem;\
display:inline-block}
button{font:inherit;padding:.5rem 1.25rem}
.quiet{opacity:.75;font-size:.95rem}
";

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"/entra/style.css\">\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n</body>\n\
         </html>\n"
    )
}

/// What is about to be connected, before anything is: the address may have been sent to somebody who did not ask for it.
pub(super) fn start(workspace: &str, tenant: &str, ticket: &str, form: &str) -> String {
    let (workspace, tenant) = (escaped(workspace), escaped(tenant));
    let (ticket, form) = (escaped(ticket), escaped(form));
    page(
        "Connect your directory?",
        &format!(
            "<p>The directory <strong>{tenant}</strong> is about to be connected to the workspace</p>\n\
             <p><strong>{workspace}</strong></p>\n<p>Whoever goes on signs in as an admin of that directory, and proves by it that the \
             directory belongs to this workspace.</p>\n<p><strong>Continue only if you asked for this yourself.</strong> If somebody \
             sent you this address, or you do not know the workspace, close this page: nothing has happened yet.</p>\n\
             <form method=\"post\" action=\"/entra/start\">\n<input type=\"hidden\" name=\"ticket\" value=\"{ticket}\">\n\
             <input type=\"hidden\" name=\"form\" value=\"{form}\">\n<button type=\"submit\">Continue</button>\n</form>\n"
        ),
    )
}

/// Somebody else than the owner consented: they tell the owner the code.
pub(super) fn read_back(workspace: &str, code: &str) -> String {
    let (workspace, code) = (escaped(workspace), escaped(code));
    page(
        "Tell this code to whoever sent you here",
        &format!(
            "<p>You let our application into your directory, for the workspace</p>\n<p><strong>{workspace}</strong></p>\n\
             <p>Read this code to the person who asked you, over a way you trust:</p>\n<p class=\"code\" aria-label=\"code\">{code}\
             </p>\n<p>If you do not know this workspace, tell nobody the code, and remove the application again under Enterprise \
             applications.</p>\n<p class=\"quiet\">The code works for a quarter of an hour. Consent alone gives access to no \
             vault: roles are assigned on the key.</p>\n"
        ),
    )
}

/// The directory is proven.
pub(super) fn proven(workspace: &str, tenant: &str) -> String {
    let (workspace, tenant) = (escaped(workspace), escaped(tenant));
    page(
        "Your directory is connected",
        &format!(
            "<p>The directory <strong>{tenant}</strong> is proven to be that of the workspace <strong>{workspace}</strong>.</p>\n\
             <p>You may close this page. Next, configure the key, set its tag, and test it.</p>\n"
        ),
    )
}

/// What does not go on, and the next step.
pub(super) fn refused(reason: Reason) -> String {
    page(
        "This does not go on here",
        &format!(
            "<p>{}.</p>\n<p><strong>What to do:</strong> {}.</p>\n<p class=\"quiet\">{}</p>\n",
            escaped(&capitalised(reason.summary())),
            escaped(reason.remedy()),
            escaped(reason.as_str())
        ),
    )
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Neither the direction of writing nor what is invisible is anybody's name.
            letter
                if letter.is_control()
                    || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                out.push('\u{fffd}');
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace's name is whatever its customer wrote: it stays text.
    #[test]
    fn a_name_stays_text() {
        let name = "<script>alert('1')</script> & \"co\" \u{202e}evil";
        for page in [read_back(name, "BCDF-GHJK"), proven(name, "8a3c"), start(name, "8a3c", "t", "f")] {
            assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
            assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;co&quot; \u{fffd}evil"));
        }
    }

    /// Every page has a language, a title and one heading, and no script.
    #[test]
    fn every_page_can_be_read_aloud() {
        for reason in Reason::ALL {
            let page = refused(*reason);
            assert!(page.contains("<html lang=\"en\">") && page.matches("<h1>").count() == 1);
            assert!(!page.contains("<script") && page.contains(reason.as_str()), "{page}");
        }
    }
}
