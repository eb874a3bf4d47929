//! Which instructions this CPU has: the speed targets of the cipher were set for wide ones.

use super::report::Counts;

/// Whether AES-GCM can use 512-bit vectors, which AWS-LC takes and OpenSSL 3.0 does not.
pub(crate) fn wide_aes() -> Counts {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("vaes")
        && std::is_x86_feature_detected!("vpclmulqdq")
        && std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
    {
        return Counts::Yes;
    }
    Counts::NotOnThisCpu
}

/// A line for the head of the report.
pub(crate) fn described() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wide = match wide_aes() {
        Counts::Yes => "with AVX-512 VAES",
        Counts::NotOnThisCpu => "without AVX-512 VAES: the cipher's ratios to OpenSSL are not gated",
    };
    format!("{cores} core(s) {wide}; a shared machine: read the ratios, not the nanoseconds")
}
