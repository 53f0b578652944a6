//! What to say when no error matches: whether there are others, and whether anything arrives.

use crate::{
    cli::text::{ago, to_the_second},
    config::local_url,
    failure::Failure,
    store::{ErrorFilter, PageRequest, Reader},
};

use super::{View, filter::Filter};

/// The sentences.
pub(super) async fn found<R: Reader + ?Sized>(
    filter: &Filter,
    reader: &R,
    view: &View,
) -> Result<String, Failure> {
    let words = filter.words(view.now);
    let newest = PageRequest::first(1);
    let newest = reader.get_errors(&ErrorFilter::default(), &newest).await?;
    if let Some(newest) = newest.items.first() {
        return Ok(format!(
            "No errors{words}. The latest of all happened at {} UTC, {}.\n",
            to_the_second(newest.created_at),
            ago(view.now, newest.created_at)
        ));
    }
    if let Some(hour) = reader.latest_request_hour().await? {
        return Ok(format!(
            "No errors{words}, nor any before. Requests do arrive, the latest in the hour from {} UTC.\n",
            to_the_second(hour.start())
        ));
    }
    Ok(format!(
        "No errors{words}, and no requests: is anything sending?\n\
         An application sends when its environment has\n\
         \x20 OTEL_EXPORTER_OTLP_ENDPOINT={}\n\
         \x20 OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n\
         and `redspan serve` runs.\n",
        local_url(view.otlp)
    ))
}
