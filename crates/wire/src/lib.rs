//! What clients send before anything is decided, and what upstreams answer, read strictly.
//!
//! - [`http1`]: the head of an HTTP/1 request, before another parser reads it more kindly;
//! - [`response`]: the head of an upstream's answer; [`chunked`]: a body in chunks;
//! - [`http2`]: the frames of an HTTP/2 connection, counted;
//! - [`proxy_header`]: the address that a proxy in front announces for a connection;
//! - [`forwarded`]: the address that proxies in front announce for a request;
//! - [`trace_context`]: the trace that a request belongs to;
//! - [`hexadecimal`]: numbers as digits of a fixed count;
//! - [`accept`]: the form in which a client would like to be told what went wrong.
//!
//! Pure over bytes: no I/O, no clock.

pub mod accept;
pub mod chunked;
pub mod forwarded;
pub mod hexadecimal;
pub mod http1;
pub mod http2;
pub mod proxy_header;
pub mod response;
pub mod trace_context;
