//! The trace that a request belongs to: the client's, if it names one, or one that begins here.
//!
//! A `traceparent` that is not valid, or stands twice, is replaced by one that is made from the request
//! id, so a log line of an upstream always leads back to ours. The client's own goes on as it came,
//! unless this process exports a span for the request: then the upstream's part hangs below that span.

use tenantry_engine::HeaderLookup;
use tenantry_wire::trace_context::{self, TraceParent};

use crate::{request_id::RequestId, spans};

pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";

/// One request's place in its trace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace {
    /// What the client sent, if it can be used.
    parent: Option<TraceParent>,
    /// Of this request: the same trace, and its own part of it.
    own: TraceParent,
}

impl Trace {
    /// What a client says of its trace; a new one, sampled or not, if it says nothing that can be used.
    pub(crate) fn of(
        headers: &dyn HeaderLookup,
        request_id: RequestId,
        sampling: Sampling,
    ) -> Self {
        let parent = match headers.lines(TRACEPARENT).as_slice() {
            [line] => TraceParent::parse(line),
            _ => None,
        };
        let own = match parent {
            Some(parent) => parent.child(request_id.span_id()),
            None => begun(request_id, sampling),
        };
        Self { parent, own }
    }

    /// One that begins here, of a request whose headers are not known.
    pub(crate) fn new(request_id: RequestId) -> Self {
        Self { parent: None, own: begun(request_id, Sampling(0)) }
    }

    /// The trace, as 32 digits.
    pub(crate) fn id(&self) -> String {
        format!("{:032x}", self.own.trace_id)
    }

    /// This request's own part.
    pub(crate) fn own(&self) -> TraceParent {
        self.own
    }

    /// The client's part, if it has one.
    pub(crate) fn parent(&self) -> Option<TraceParent> {
        self.parent
    }

    /// What the upstream is told as `traceparent`. `has_span` says whether this request's own part can be found
    /// anywhere.
    pub(crate) fn parent_of_upstream(&self, has_span: bool) -> TraceParent {
        match self.parent {
            _ if has_span => spans::below(self.own),
            parent => parent.unwrap_or(self.own),
        }
    }

    /// What the upstream is told as `tracestate`: other systems' own, which goes on with the trace it came with.
    pub(crate) fn state(&self, headers: &dyn HeaderLookup) -> Option<String> {
        self.parent?;
        trace_context::state(headers.lines(TRACESTATE).iter().copied())
    }
}

fn begun(request_id: RequestId, sampling: Sampling) -> TraceParent {
    TraceParent {
        trace_id: request_id.trace_id(),
        parent_id: request_id.span_id(),
        flags: u8::from(sampling.takes(request_id)),
    }
}

/// The share of traces begun here that are marked as sampled, in 2^32ths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampling(u64);

impl Sampling {
    /// From a ratio; what is no number between 0 and 1 is none.
    pub(crate) fn new(ratio: f64) -> Option<Self> {
        const WHOLE: f64 = 4_294_967_296.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 2^32, by the condition"
        )]
        (0.0..=1.0).contains(&ratio).then_some(Self((ratio * WHOLE) as u64))
    }

    fn takes(self, request_id: RequestId) -> bool {
        // The upper half: the lower one is what the access log draws by.
        request_id.draw() >> 32 < self.0
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::request_id::RequestIds;

    const CLIENTS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn passed_on(headers: &[(&'static str, &str)], has_span: bool) -> (String, Option<String>) {
        let (headers, id) = (map(headers), RequestIds::new(5 << 64 | 6).next());
        let trace = Trace::of(&headers, id, Sampling::new(1.0).unwrap());
        (trace.parent_of_upstream(has_span).to_string(), trace.state(&headers))
    }

    #[test]
    fn a_clients_trace_goes_on() {
        let headers = [("traceparent", CLIENTS), ("tracestate", "a=1"), ("tracestate", "b=2")];
        assert_eq!(passed_on(&headers, false), (CLIENTS.to_owned(), Some("a=1,b=2".to_owned())));
        let (parent, state) = passed_on(&headers, true);
        assert!(parent.starts_with(&CLIENTS[..36]) && parent != CLIENTS && parent.ends_with("-01"));
        assert_eq!(state.as_deref(), Some("a=1,b=2"));
    }

    #[test]
    fn any_other_begins_here_without_a_state() {
        let begun = format!("00-{:032x}-", 5u128 << 64 | 6);
        for headers in [
            &[("tracestate", "a=1")][..],
            &[("traceparent", CLIENTS), ("traceparent", CLIENTS), ("tracestate", "a=1")],
            &[("traceparent", "00-0-0-0"), ("tracestate", "a=1")],
        ] {
            for has_span in [true, false] {
                let (parent, state) = passed_on(headers, has_span);
                assert!(parent.starts_with(&begun) && parent.ends_with("-01"), "{parent}");
                assert_eq!(state, None);
            }
        }
    }

    #[test]
    fn a_share_is_sampled() {
        let ids = RequestIds::new(9);
        let sampled = |ratio| {
            let sampling = Sampling::new(ratio).unwrap();
            (0..10_000).filter(|_| sampling.takes(ids.next())).count()
        };
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 10_000));
        assert!((2_000..3_000).contains(&sampled(0.25)));
        for bad in [-0.1, 1.1, f64::NAN] {
            assert!(Sampling::new(bad).is_none());
        }
    }
}
