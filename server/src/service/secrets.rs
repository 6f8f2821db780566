//! Encryption of storage credentials: AES-256-GCM under a ring of keys from a file. The last key encrypts, all decrypt.

use std::{io, path::Path};

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, prelude::BASE64_STANDARD};

/// The ring in the data folder: lines of `id:base64 of 32 bytes`. To rotate, append a line and restart every server.
pub const KEYS_FILE: &str = "secrets.keys";
const NONCE_BYTES: usize = 12;
/// First byte of what `seal` makes.
const FORMAT: u8 = 1;

/// Keys that encrypt and decrypt secrets.
pub struct KeyRing {
    keys: Vec<(String, Aes256Gcm)>,
}

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("cannot read or make the key ring: {0}")]
    Io(#[from] io::Error),
    #[error("line {0} of the key ring is not `id:base64 of 32 bytes`")]
    MalformedLine(usize),
    #[error("the key ring is empty; append a line `id:base64 of 32 bytes`")]
    Empty,
    #[error("the secret was encrypted with key `{0}`, which the key ring lacks; put it back into {KEYS_FILE}")]
    UnknownKey(String),
    #[error("the secret does not decrypt: it was changed or belongs to another storage")]
    Broken,
}

impl KeyRing {
    /// Reads the ring of a data folder; makes it (mode 0600) when it is not there.
    pub fn load(data_dir: &Path) -> Result<Self, SecretError> {
        let text = crate::storage::files::create_private(&data_dir.join(KEYS_FILE), || {
            format!("k1:{}\n", BASE64_STANDARD.encode(rand::random::<[u8; 32]>()))
        })?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, SecretError> {
        let mut keys = Vec::new();
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(parse_line(line).ok_or(SecretError::MalformedLine(number + 1))?);
        }
        if keys.is_empty() {
            return Err(SecretError::Empty);
        }
        Ok(Self { keys })
    }

    /// Encrypts for one place; `context` must be the same at `open`.
    pub fn seal(&self, secret: &[u8], context: &str) -> Result<Vec<u8>, SecretError> {
        let (id, cipher) = self.keys.last().ok_or(SecretError::Empty)?;
        let nonce = rand::random::<[u8; NONCE_BYTES]>();
        let payload = Payload {
            msg: secret,
            aad: context.as_bytes(),
        };
        let sealed = cipher
            .encrypt(Nonce::from_slice(&nonce), payload)
            .map_err(|_| SecretError::Broken)?;
        let mut out = vec![FORMAT, id.len() as u8];
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Decrypts what `seal` made.
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>, SecretError> {
        let (id, nonce, body) = split(sealed).ok_or(SecretError::Broken)?;
        let cipher = self.keys.iter().find(|(key, _)| key == id).map(|(_, cipher)| cipher);
        let cipher = cipher.ok_or_else(|| SecretError::UnknownKey(id.to_owned()))?;
        let payload = Payload {
            msg: body,
            aad: context.as_bytes(),
        };
        cipher.decrypt(Nonce::from_slice(nonce), payload).map_err(|_| SecretError::Broken)
    }
}

fn parse_line(line: &str) -> Option<(String, Aes256Gcm)> {
    let (id, key) = line.split_once(':')?;
    let key = BASE64_STANDARD.decode(key.trim()).ok()?;
    let cipher = Aes256Gcm::new_from_slice(&key).ok()?;
    let is_valid_id = (1..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    is_valid_id.then(|| (id.to_owned(), cipher))
}

fn split(sealed: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let (&format, rest) = sealed.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if format != FORMAT {
        return None;
    }
    let (id, rest) = rest.split_at_checked(length.into())?;
    let (nonce, body) = rest.split_at_checked(NONCE_BYTES)?;
    Some((std::str::from_utf8(id).ok()?, nonce, body))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn line(id: &str, byte: u8) -> String {
        format!("{id}:{}\n", BASE64_STANDARD.encode([byte; 32]))
    }

    #[test]
    fn secrets_come_back_only_for_their_own_storage() {
        let ring = KeyRing::parse(&line("k1", 7)).unwrap();
        let sealed = ring.seal(b"secret", "p/s").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(ring.open(&sealed, "p/s").unwrap(), b"secret");
        assert!(ring.open(&sealed, "p/other").is_err());
    }

    #[test]
    fn changed_and_truncated_secrets_are_refused() {
        let ring = KeyRing::parse(&line("k1", 7)).unwrap();
        let sealed = ring.seal(b"secret", "p/s").unwrap();
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(ring.open(&changed, "p/s").is_err(), "byte {index}");
            assert!(ring.open(&sealed[..index], "p/s").is_err(), "length {index}");
        }
    }

    #[test]
    fn older_keys_still_decrypt_and_the_last_one_encrypts() {
        let old = KeyRing::parse(&line("k1", 7)).unwrap();
        let sealed = old.seal(b"secret", "p/s").unwrap();
        let ring = KeyRing::parse(&format!("{}{}", line("k1", 7), line("k2", 8))).unwrap();
        assert_eq!(ring.open(&sealed, "p/s").unwrap(), b"secret");
        let fresh = ring.seal(b"secret", "p/s").unwrap();
        assert!(matches!(old.open(&fresh, "p/s"), Err(SecretError::UnknownKey(id)) if id == "k2"));
    }

    #[test]
    fn the_ring_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let sealed = KeyRing::load(folder.path()).unwrap().seal(b"secret", "p/s").unwrap();
        assert_eq!(KeyRing::load(folder.path()).unwrap().open(&sealed, "p/s").unwrap(), b"secret");
        let mode = std::fs::metadata(folder.path().join(KEYS_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn malformed_rings_are_refused_by_line() {
        assert!(matches!(KeyRing::parse("# none\n"), Err(SecretError::Empty)));
        assert!(matches!(KeyRing::parse("k1:short\n"), Err(SecretError::MalformedLine(1))));
    }
}
