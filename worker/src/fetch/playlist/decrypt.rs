//! Opens segments that are encrypted with AES-128 in CBC mode. Reads and writes local files.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::Path,
};

use aes::Aes128;
use cbc::{
    Decryptor,
    cipher::{Array, BlockModeDecrypt, KeyIvInit},
};

const BLOCK: usize = 16;
/// Blocks that are opened at a time.
const BLOCKS: usize = 4096;

/// Why a segment cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DecryptError {
    #[error("it cannot be decrypted: its length of {0} bytes is no multiple of 16")]
    Length(u64),
    #[error("it cannot be decrypted with its key: the padding at its end is wrong")]
    Padding,
    #[error("it cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// Replaces a file by what it holds.
pub fn open(path: &Path, key: [u8; BLOCK], iv: [u8; BLOCK]) -> Result<(), DecryptError> {
    let sealed = File::open(path)?;
    let length = sealed.metadata()?.len();
    if length == 0 || length % BLOCK as u64 != 0 {
        return Err(DecryptError::Length(length));
    }
    let opened = path.with_extension("opened");
    let mut out = BufWriter::with_capacity(1 << 16, File::create(&opened)?);
    let mut cipher = Decryptor::<Aes128>::new(&Array(key), &Array(iv));
    let mut last = [0; BLOCK];
    let (mut buffer, mut left) = (Vec::with_capacity(BLOCK * BLOCKS), length);
    while left > 0 {
        buffer.clear();
        (&sealed).take((BLOCK * BLOCKS) as u64).read_to_end(&mut buffer)?;
        let (blocks, rest) = Array::slice_as_chunks_mut(&mut buffer);
        if blocks.is_empty() || !rest.is_empty() {
            return Err(DecryptError::Length(length));
        }
        left = left.saturating_sub((blocks.len() * BLOCK) as u64);
        cipher.decrypt_blocks(blocks);
        let whole = if left == 0 { blocks.len() - 1 } else { blocks.len() };
        for block in blocks.iter().take(whole) {
            out.write_all(block)?;
        }
        if let Some(block) = blocks.get(whole) {
            last = (*block).into();
        }
    }
    out.write_all(without_padding(&last).ok_or(DecryptError::Padding)?)?;
    out.flush()?;
    Ok(fs::rename(opened, path)?)
}

/// The last block without its padding (PKCS #7): n bytes of value n.
fn without_padding(block: &[u8; BLOCK]) -> Option<&[u8]> {
    let count = usize::from(block[BLOCK - 1]);
    let kept = BLOCK.checked_sub(count).filter(|_| count > 0)?;
    let (body, padding) = block.split_at_checked(kept)?;
    padding.iter().all(|byte| usize::from(*byte) == count).then_some(body)
}

#[cfg(test)]
pub mod tests {
    use cbc::{
        Encryptor,
        cipher::{BlockModeEncrypt, block_padding::Pkcs7},
    };

    use super::*;

    /// A segment as packagers encrypt it.
    pub fn encrypted(body: &[u8], key: [u8; BLOCK], iv: [u8; BLOCK]) -> Vec<u8> {
        Encryptor::<Aes128>::new(&Array(key), &Array(iv)).encrypt_padded_vec::<Pkcs7>(body)
    }

    #[test]
    fn bytes_come_back_whatever_their_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealed");
        for length in [0, 1, 15, 16, 17, BLOCK * BLOCKS - 1, BLOCK * BLOCKS, BLOCK * BLOCKS * 2 + 5] {
            let body: Vec<u8> = (0..length).map(|index| (index * 31 % 251) as u8).collect();
            let sealed = encrypted(&body, [0x0a; 16], [1; 16]);
            fs::write(&path, &sealed).unwrap();
            open(&path, [0x0a; 16], [1; 16]).unwrap();
            assert!(fs::read(&path).unwrap() == body, "{length}");
            fs::write(&path, &sealed).unwrap();
            assert!(open(&path, [0x0b; 16], [1; 16]).is_err(), "{length}: with another key");
        }
        fs::write(&path, [0; 17]).unwrap();
        assert!(matches!(open(&path, [0; 16], [0; 16]), Err(DecryptError::Length(17))));
    }

    /// The first two blocks of example F.2.1 of NIST SP 800-38A, with a block of padding behind them.
    #[test]
    fn published_example_is_opened() {
        let bytes = |text: &str| hex::decode(text).unwrap();
        let key: [u8; 16] = bytes("2b7e151628aed2a6abf7158809cf4f3c").try_into().unwrap();
        let iv: [u8; 16] = bytes("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
        let plain = bytes("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
        let sealed = encrypted(&plain, key, iv);
        let expected = "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2";
        assert_eq!(hex::encode(&sealed[..32]), expected);
    }
}
