//! One line of the stream: `{"<kind>":{...}}` and a line feed.

use std::fmt;

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, IgnoredAny, MapAccess, Visitor},
};

use crate::{Change, Epoch, PROTOCOL, Question, ResourceJson, ResourceName, Revision, StateHash};

/// The longest line, line feed included. Both ends hold to it: the sender gets an error before
/// anything is sent, so a resource that has grown too large is refused when it is written and does
/// not silently stop the stream.
pub const MAX_LINE_BYTES: usize = 8 * 1024 * 1024;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The first frame of a stream.
    Hello(Hello),
    /// A transaction starts.
    Begin(Begin),
    /// One change of the transaction (`put` or `delete`).
    Change(Change),
    /// The transaction is whole.
    Commit(Mark),
    /// The stream is alive, and this is the state the control plane holds.
    Heartbeat(Mark),
    /// Something is asked; it changes nothing.
    Question(Question),
    /// A frame of a kind this build does not know. To be ignored; it cannot be encoded.
    Unknown,
}

/// Which protocol, and which history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// What the stream speaks: the highest [protocol](crate::protocol) that both ends know.
    pub protocol: u32,
    /// The history that all revisions of this stream belong to.
    pub epoch: Epoch,
}

/// What the transaction is. The intent is always explicit: an empty full state is not "no change".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// Everything, or a difference.
    pub kind: UpdateKind,
    /// The revision a delta stands on; of no meaning for a full state.
    pub from: Revision,
    /// The revision after the commit.
    pub to: Revision,
    /// Whether a large removal of tenants is meant.
    #[serde(default, skip_serializing_if = "Removal::is_guarded")]
    pub removal: Removal,
}

/// How an update is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateKind {
    /// It replaces everything held before.
    Full,
    /// It changes what is held.
    Delta,
}

/// Whether an update may remove a large share of all tenants at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// It may not: a large removal is taken for a fault of the control plane.
    #[default]
    Guarded,
    /// An operator asked for it.
    Meant,
}

impl Removal {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
    fn is_guarded(&self) -> bool {
        matches!(self, Self::Guarded)
    }
}

/// A revision and the hash of the whole state at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The revision.
    pub revision: Revision,
    /// The hash of the whole state.
    pub hash: StateHash,
}

/// Why a frame cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// It would be longer than the other end accepts.
    #[error("a frame of {length} bytes is longer than {MAX_LINE_BYTES}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A frame read from a newer sender and not understood.
    #[error("a frame of an unknown kind cannot be sent on")]
    Unknown,
    /// The JSON encoder failed, which no value of these types makes it do.
    #[error("a frame could not be encoded")]
    Json(#[source] serde_json::Error),
    /// The compressor failed, which it does for want of memory only.
    #[error("a frame could not be compressed")]
    Compression(#[source] std::io::Error),
}

impl Frame {
    /// The hello of a stream that speaks the newest protocol of this build.
    #[must_use]
    pub fn hello(epoch: Epoch) -> Self {
        Self::Hello(Hello { protocol: PROTOCOL, epoch })
    }

    /// The frame as one line.
    ///
    /// # Errors
    /// If it is too long or of an unknown kind.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        match self {
            Self::Hello(hello) => line("hello", hello),
            Self::Begin(begin) => line("begin", begin),
            Self::Change(change) => encode_change(change),
            Self::Commit(mark) => line("commit", mark),
            Self::Heartbeat(mark) => line("heartbeat", mark),
            Self::Question(question) => line("question", question),
            Self::Unknown => Err(EncodeError::Unknown),
        }
    }
}

/// A change as one line, without building a [`Frame`] around it.
pub(crate) fn encode_change(change: &Change) -> Result<Bytes, EncodeError> {
    #[derive(Serialize)]
    struct Put<'a> {
        kind: &'a str,
        id: &'a str,
        resource: &'a ResourceJson,
    }
    #[derive(Serialize)]
    struct Delete<'a> {
        kind: &'a str,
        id: &'a str,
    }
    let (kind, id) = (change.kind(), change.id());
    match change.json() {
        Some(resource) => line("put", &Put { kind, id, resource }),
        None => line("delete", &Delete { kind, id }),
    }
}

fn line(kind: &'static str, body: &impl Serialize) -> Result<Bytes, EncodeError> {
    let mut line = Vec::with_capacity(256);
    line.extend_from_slice(b"{\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\":");
    serde_json::to_writer(&mut line, body).map_err(EncodeError::Json)?;
    line.extend_from_slice(b"}\n");
    if line.len() > MAX_LINE_BYTES {
        return Err(EncodeError::TooLong { length: line.len() });
    }
    Ok(line.into())
}

impl<'de> Deserialize<'de> for Frame {
    /// Written by hand because a derived enum refuses a variant it does not know.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FrameVisitor)
    }
}

struct FrameVisitor;

impl<'de> Visitor<'de> for FrameVisitor {
    type Value = Frame;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one key, the kind of the frame")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Frame, A::Error> {
        #[derive(Deserialize)]
        struct Put {
            kind: String,
            id: String,
            resource: ResourceJson,
        }
        let Some(kind) = map.next_key::<String>()? else {
            return Err(A::Error::custom("a frame without a kind"));
        };
        let frame = match kind.as_str() {
            "hello" => Frame::Hello(map.next_value()?),
            "begin" => Frame::Begin(map.next_value()?),
            "put" => {
                let Put { kind, id, resource } = map.next_value()?;
                Frame::Change(Change::new(ResourceName { kind, id }, Some(resource)))
            }
            "delete" => Frame::Change(Change::new(map.next_value()?, None)),
            "commit" => Frame::Commit(map.next_value()?),
            "heartbeat" => Frame::Heartbeat(map.next_value()?),
            "question" => Frame::Question(map.next_value()?),
            _ => {
                map.next_value::<IgnoredAny>()?;
                Frame::Unknown
            }
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(frame),
            Some(_) => Err(A::Error::custom("a frame with two kinds")),
        }
    }
}
