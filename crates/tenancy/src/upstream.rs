//! The key of the certificate that an upstream's servers are shown: sealed wherever it is stored.
//!
//! Keys that were stored before there was anything to seal them with stay as they are until their
//! upstream is written while there is.

use tenantry_model::{
    Upstream,
    upstream::{ClientKey, PrivateKeyPem},
};

use crate::{Error, Tenancy};

const KEY: &str = "/tls/client_key_pem";

impl Tenancy {
    /// The upstream as it is checked. A key and a certificate that stay were checked when they came,
    /// and are left out: so the rest can be changed where the key cannot be opened.
    pub(crate) fn open_client_key(
        &self,
        mut upstream: Upstream,
        current: Option<&Upstream>,
    ) -> Result<Upstream, Error> {
        let Some(ClientKey::Sealed(_)) = upstream.client_key() else { return Ok(upstream) };
        if upstream.client_key() != current.and_then(Upstream::client_key) {
            return Err(Error::invalid(KEY, "write one private key in PEM without a pass phrase"));
        }
        let kept = current.and_then(|current| current.tls.as_ref());
        if let (Some(tls), Some(kept)) = (&mut upstream.tls, kept)
            && tls.client_certificate_pem == kept.client_certificate_pem
        {
            (tls.client_certificate_pem, tls.client_key_pem) = (None, None);
        }
        self.with_open_client_key(upstream)
    }

    /// An upstream as it was some time ago, to be written in the place of `current`: with the key that is
    /// stored, if its certificate is the same, and otherwise with the one that it had.
    pub(crate) fn with_former_client_key(
        &self,
        mut upstream: Upstream,
        current: Option<&Upstream>,
    ) -> Result<Upstream, Error> {
        let kept = current.and_then(|current| current.tls.as_ref());
        if let (Some(tls), Some(kept)) = (&mut upstream.tls, kept)
            && tls.client_certificate_pem == kept.client_certificate_pem
        {
            tls.client_key_pem.clone_from(&kept.client_key_pem);
            return Ok(upstream);
        }
        self.with_open_client_key(upstream)
    }

    fn with_open_client_key(&self, upstream: Upstream) -> Result<Upstream, Error> {
        let context = Upstream::sealing_context(&upstream.id);
        upstream.with_client_key(|key| match key {
            ClientKey::Sealed(sealed) => {
                let opened = self.master_keys.open(&sealed, &context).map_err(|error| {
                    let detail =
                        format!("write the key as well: of the one that is stored, {error}");
                    Error::invalid(KEY, detail)
                })?;
                let text = String::from_utf8_lossy(&opened).into_owned();
                let key = PrivateKeyPem::try_from(text);
                key.map(ClientKey::Clear).map_err(|error| Error::invalid(KEY, error.to_string()))
            }
            clear @ ClientKey::Clear(_) => Ok(clear),
        })
    }

    /// The upstream as it is stored. Without a master key only what was stored in the clear stays so.
    pub(crate) fn seal_client_key(
        &self,
        upstream: Upstream,
        current: Option<&Upstream>,
    ) -> Result<Upstream, Error> {
        let stays = upstream.client_key() == current.and_then(Upstream::client_key);
        if stays && self.master_keys.is_empty() {
            return Ok(upstream);
        }
        let context = Upstream::sealing_context(&upstream.id);
        upstream.with_client_key(|key| match key {
            ClientKey::Clear(key) => match self.sealed(key.expose(), &context) {
                Err(Error::Invalid { .. }) => Err(Error::invalid(KEY, "this key is too long")),
                sealed => sealed.map(ClientKey::Sealed),
            },
            sealed @ ClientKey::Sealed(_) => Ok(sealed),
        })
    }
}
