//! The client's end of a request that is relayed, whatever the client speaks.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tenantry_wire::response::ResponseHead;

use super::{Alarm, heads::Added, upstream::Failed};

/// The client's end. Whoever lets go of it before an answer has come to its end breaks it off.
pub(crate) trait Client {
    /// The head of an answer as the client will get it.
    type Head;

    /// The one timer of all that is waited for.
    fn alarm(&mut self) -> &mut Alarm;

    /// Ready once there is nobody left to be answered.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Whether the connection ends with the answer, if the process is about to end or goes on.
    fn is_last(&self, is_closing: bool) -> bool;

    /// The head of the answer.
    ///
    /// # Errors
    /// The upstream's: it cannot be told to this client.
    fn head(&self, answer: &ResponseHead<'_, '_>, added: &Added<'_>)
    -> pingora::Result<Self::Head>;

    /// An answer before the answer (1xx); none if the client is not told of it.
    fn interim(&self, answer: &ResponseHead<'_, '_>) -> Option<Self::Head>;

    /// Sends a part of an answer, this long at most.
    ///
    /// # Errors
    /// The client's.
    fn send(
        &mut self,
        head: Option<Self::Head>,
        part: Part<'_>,
        patience: Duration,
    ) -> impl Future<Output = Result<(), Failed>> + Send;

    /// Nothing more is sent: the connection ends after a whole answer.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// A part of the body of an answer.
pub(crate) struct Part<'b> {
    pub(super) payload: Payload<'b>,
    pub(super) is_last: bool,
    /// Whether the head says how long the body is.
    pub(super) has_length: bool,
}

/// Bytes of a body.
pub(super) enum Payload<'b> {
    /// The first so many of these.
    Standing(&'b mut BytesMut, usize),
    /// What stood between other bytes.
    Gathered(&'b mut Vec<u8>),
}

impl Payload<'_> {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Standing(bytes, length) => bytes.get(..*length).unwrap_or_default(),
            Self::Gathered(bytes) => bytes,
        }
    }

    /// Takes them away from where they are, without copying what is long.
    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::Standing(bytes, length) => bytes.split_to(length.min(bytes.len())).freeze(),
            Self::Gathered(bytes) => std::mem::take(bytes).into(),
        }
    }
}
