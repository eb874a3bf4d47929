//! Compiles `proto/` with protox: nobody has to install protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let files = ["encryption", "workspaces", "enterprise_keys", "errors", "operations", "audit", "tenants"]
        .map(|f| root.join(format!("byok/v1/{f}.proto")));
    let set = protox::compile(files, [&root])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("byok.v1.bin"), prost::Message::encode_to_vec(&set))?;
    tonic_prost_build::configure()
        // Payloads cross the daemon without a copy.
        .bytes(".byok.v1")
        .compile_fds(set)?;
    Ok(())
}
