//! The pages people meet: plain HTML with forms, no script.
//!
//! Every form is posted to the address it was shown at, its query included. Fields: `user` (a user principal name or object id)
//! and, on the consent page, `action` (`accept` or `decline`); on the sign-in page `action` is `sign_in` or `cancel`.

use crate::entra::refusal::EntraRefusal;
use crate::entra::users::{User, UserKind};
use crate::exchange::{Answer, Request};
use crate::form;

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn page(status: u16, title: &str, body: &str) -> Answer {
    let style = "body{font:16px sans-serif;max-width:34em;margin:3em auto;padding:0 1em}button{font:inherit;margin:.2em 0;\
                 padding:.4em .8em}small{color:#555}";
    let title = escape(title);
    Answer::html(
        status,
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title><style>{style}</style><h1>{title}</h1>{body}\
             <p><small>This is the emulator's page, not Microsoft's. Nobody asks for a password here.</small></p></html>"
        ),
    )
}

/// Where a page's form goes: the same address.
fn action(request: &Request) -> String {
    let query: Vec<String> =
        request.query.iter().map(|(name, value)| format!("{}={}", form::encode(name), form::encode(value))).collect();
    escape(&format!("{}?{}", request.path, query.join("&")))
}

fn described(user: &User) -> String {
    let kind = match user.kind {
        UserKind::Member if user.is_admin() => "administrator",
        UserKind::Member => "user",
        UserKind::Guest => "guest",
        UserKind::Personal => "personal account",
    };
    format!("{} <small>({kind})</small>", escape(&user.name))
}

/// Pick an account.
pub(super) fn sign_in(request: &Request, app: &str, users: &[User]) -> Answer {
    let button = |user: &User| {
        let name = escape(&user.name);
        format!("<p><button name=\"user\" value=\"{name}\">{}</button></p>", described(user))
    };
    let buttons: String = users.iter().map(button).collect();
    let body = format!(
        "<p>to continue to <b>{}</b></p><form method=\"post\" action=\"{}\">{buttons}\
         <p><button name=\"action\" value=\"cancel\">Cancel</button></p></form>",
        escape(app),
        action(request)
    );
    page(200, "Pick an account", &body)
}

/// An administrator's consent.
pub(super) fn consent(request: &Request, app: &str, tenant: &str, permissions: &[String], users: &[User]) -> Answer {
    let wanted: String = permissions.iter().map(|p| format!("<li>{}</li>", escape(p))).collect();
    let options: String =
        users.iter().map(|u| format!("<option value=\"{0}\">{0}</option>", escape(&u.name))).collect();
    let body = format!(
        "<p><b>{}</b> (unverified) would like, for your whole organisation {}:</p><ul>{wanted}</ul>\
         <form method=\"post\" action=\"{}\"><p><label>Signed in as <select name=\"user\">{options}</select></label></p>\
         <p><button name=\"action\" value=\"accept\">Accept</button> \
         <button name=\"action\" value=\"decline\">Cancel</button></p></form>",
        escape(app),
        escape(tenant),
        action(request)
    );
    page(200, "Permissions requested: review for your organisation", &body)
}

/// A refusal that cannot be sent to the application, because its address is not to be trusted or it is not its business.
pub(super) fn refused(refusal: EntraRefusal, request: &Request) -> Answer {
    let body = format!(
        "<p>AADSTS{}: {}</p><p><small>Request Id: {}</small></p>",
        refusal.number(),
        escape(refusal.text()),
        escape(&request.request_id)
    );
    page(400, "Sorry, but we're having trouble signing you in", &body)
}
