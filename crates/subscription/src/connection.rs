//! One stream from the control plane: HTTP in, frames out.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, RETRY_AFTER},
    redirect,
};
use tenantry_distribution::{
    ContinuityError, DecodeError, Encoding, Frame, FrameReader, Position, STREAM_PATH,
    SubscribeQuery,
};
use tokio::time::timeout;

use crate::{Options, OptionsError};

/// A frame may take so many times longer than the line may be silent: a large one comes in many pieces,
/// and one that never ends must not keep the line alive.
const FRAME_TIMEOUTS: u32 = 4;

/// Why a stream is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamEnd {
    #[error("the control plane does not accept this proxy's token ({0})")]
    Unauthorized(StatusCode),
    #[error("the control plane answered {0}")]
    Status(StatusCode),
    #[error("the control plane serves others first and asks to come back in {} s", .0.as_secs())]
    TurnedAway(Duration),
    #[error(
        "the control plane speaks another protocol: it and this proxy must not be more than one apart"
    )]
    Protocol,
    #[error("the connection failed")]
    Transport(#[source] reqwest::Error),
    #[error("nothing came for {} s", .0.as_secs_f64())]
    Silent(Duration),
    #[error("the control plane closed the stream")]
    Closed,
    #[error("the stream cannot be read")]
    Decode(#[source] DecodeError),
    #[error("the stream cannot be followed")]
    Continuity(#[source] ContinuityError),
}

impl StreamEnd {
    /// With its cause, for the log.
    pub(crate) fn reason(&self) -> String {
        let mut text = self.to_string();
        let mut error: &dyn std::error::Error = self;
        while let Some(source) = error.source() {
            text.push_str(": ");
            text.push_str(&source.to_string());
            error = source;
        }
        text
    }
}

/// The client for stream and reports: HTTP/2 without a preceding HTTP/1 exchange.
///
/// The TLS set-up names its provider and trusts the authorities of the options and nobody else. reqwest builds
/// TLS even for a client that only ever speaks plain HTTP, and would look for a provider installed for the
/// whole process; there are no process globals here. Environment proxies are not used, and no redirect is followed: the
/// token goes where the options say and nowhere else.
pub(crate) fn client(options: &Options) -> Result<Client, OptionsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(OptionsError::Tls)?
        .with_root_certificates(options.authorities.clone())
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Client::builder()
        .tls_backend_preconfigured(tls)
        .http2_prior_knowledge()
        .connect_timeout(options.connect_timeout)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .build()
        .map_err(OptionsError::Client)
}

/// The address of a path of the control plane.
pub(crate) fn address(options: &Options, path: &str) -> Url {
    let mut url = options.control_plane.clone();
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}{path}"));
    url
}

/// An open stream.
pub(crate) struct Connection {
    response: Response,
    reader: FrameReader,
    idle_timeout: Duration,
}

impl Connection {
    /// Asks for the stream from this state on, or for the whole state.
    pub(crate) async fn open(
        client: &Client,
        options: &Options,
        from: Option<Position>,
    ) -> Result<Self, StreamEnd> {
        let mut url = address(options, STREAM_PATH);
        url.query_pairs_mut().extend_pairs(SubscribeQuery::new(options.node.clone(), from).pairs());
        let request = client
            .get(url)
            .header(AUTHORIZATION, options.token.header())
            .header(ACCEPT, "application/x-ndjson")
            .header(ACCEPT_ENCODING, Encoding::ZSTD);
        let response = timeout(options.idle_timeout, request.send())
            .await
            .map_err(|_| StreamEnd::Silent(options.idle_timeout))?
            .map_err(StreamEnd::Transport)?;
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(StreamEnd::Unauthorized(status));
            }
            StatusCode::CONFLICT => return Err(StreamEnd::Protocol),
            status => return Err(retry_after(&response).unwrap_or(StreamEnd::Status(status))),
        }
        let encoding = response.headers().get(CONTENT_ENCODING);
        let encoding = Encoding::accepted(encoding.and_then(|value| value.to_str().ok()));
        let reader = FrameReader::new(encoding).map_err(StreamEnd::Decode)?;
        Ok(Self { response, reader, idle_timeout: options.idle_timeout })
    }

    /// The next frame. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Frame, StreamEnd> {
        let whole = self.idle_timeout.saturating_mul(FRAME_TIMEOUTS);
        timeout(whole, self.frame()).await.map_err(|_| StreamEnd::Silent(whole))?
    }

    async fn frame(&mut self) -> Result<Frame, StreamEnd> {
        loop {
            if let Some(frame) = self.reader.next() {
                return frame.map_err(StreamEnd::Decode);
            }
            let chunk = timeout(self.idle_timeout, self.response.chunk())
                .await
                .map_err(|_| StreamEnd::Silent(self.idle_timeout))?
                .map_err(StreamEnd::Transport)?
                .ok_or(StreamEnd::Closed)?;
            self.reader.push(chunk);
        }
    }
}

/// When to come back, if the control plane said so.
fn retry_after(response: &Response) -> Option<StreamEnd> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(StreamEnd::TurnedAway(Duration::from_secs(seconds)))
}
