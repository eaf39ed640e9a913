//! The metrics page, in the text format that Prometheus and OpenMetrics share.

use prometheus_client::{encoding::text::encode, registry::Registry};

/// The media type of the page.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every metric of the registry as one page.
///
/// # Errors
/// If a metric cannot be written, which is a fault in the metric.
pub fn page(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    encode(&mut page, registry)?;
    Ok(page)
}
