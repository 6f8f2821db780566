//! Where the bytes of packets wait for their segment: in memory up to a bound, behind it in a file, so that a film with one key frame
//! needs no more memory than any other.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

/// Bytes of one store that wait in memory.
const MEMORY: usize = 16 << 20;

/// Takes bytes. What it gave may outlive it.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    most: usize,
    in_memory: Arc<AtomicUsize>,
    spool: Option<Spool>,
    trouble: Option<String>,
}

#[derive(Debug)]
struct Spool {
    file: Arc<File>,
    end: u64,
    waiting: Arc<AtomicUsize>,
}

/// Bytes that wait.
#[derive(Debug, Default)]
pub enum Payload {
    #[default]
    Empty,
    Memory {
        bytes: Vec<u8>,
        _held: Held,
    },
    File {
        file: Arc<File>,
        at: u64,
        length: usize,
        _held: Held,
    },
}

/// Gives back what a payload takes of its store, when it goes.
#[derive(Debug)]
pub struct Held {
    of: Arc<AtomicUsize>,
    amount: usize,
}

impl Held {
    fn new(of: &Arc<AtomicUsize>, amount: usize) -> Self {
        of.fetch_add(amount, SeqCst);
        Self { of: of.clone(), amount }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.fetch_sub(self.amount, SeqCst);
    }
}

/// Bytes of one file of waiting packets.
const MOST_SPOOL: u64 = 256 << 20;

impl Store {
    /// `path`: of the file, which is made when it is needed.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            most: MEMORY,
            in_memory: Arc::default(),
            spool: None,
            trouble: None,
        }
    }

    /// Why a packet could not be put.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub fn put(&mut self, bytes: Vec<u8>) -> io::Result<Payload> {
        if self.in_memory.load(SeqCst) + bytes.len() <= self.most {
            let _held = Held::new(&self.in_memory, bytes.len());
            return Ok(Payload::Memory { bytes, _held });
        }
        let put = self.spool().and_then(|spool| spool.put(&bytes));
        put.inspect_err(|error| self.trouble = Some(error.to_string()))
    }

    fn spool(&mut self) -> io::Result<&mut Spool> {
        // A file goes when the last of its packets is written; what is written behind them keeps none of it.
        if self.spool.as_ref().is_none_or(|spool| spool.end >= MOST_SPOOL) {
            self.spool = Some(Spool::open(&self.path)?);
        }
        self.spool
            .as_mut()
            .ok_or_else(|| io::Error::other("the file of waiting packets is not there"))
    }
}

impl Spool {
    /// The name goes at once: nothing is left behind, however the process ends.
    fn open(path: &PathBuf) -> io::Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        std::fs::remove_file(path)?;
        Ok(Self {
            file: Arc::new(file),
            end: 0,
            waiting: Arc::default(),
        })
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<Payload> {
        if self.waiting.load(SeqCst) == 0 && self.end > 0 {
            self.file.set_len(0)?;
            self.end = 0;
        }
        self.file.write_all_at(bytes, self.end)?;
        let at = self.end;
        self.end += bytes.len() as u64;
        Ok(Payload::File {
            file: self.file.clone(),
            at,
            length: bytes.len(),
            _held: Held::new(&self.waiting, 1),
        })
    }
}

impl Payload {
    pub fn size(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Memory { bytes, .. } => bytes.len(),
            Self::File { length, .. } => *length,
        }
    }

    pub fn read(&self) -> io::Result<std::borrow::Cow<'_, [u8]>> {
        match self {
            Self::Empty => Ok((&[]).into()),
            Self::Memory { bytes, .. } => Ok(bytes.into()),
            Self::File { file, at, length, .. } => {
                let mut bytes = vec![0; *length];
                file.read_exact_at(&mut bytes, *at)?;
                Ok(bytes.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_into_memory_waits_in_a_file_that_begins_anew_when_it_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store {
            most: 5,
            ..Store::new(folder.path().join("spool"))
        };
        let payloads: Vec<Payload> = [b"one", b"two", b"six"].map(|bytes| store.put(bytes.to_vec()).unwrap()).into();
        assert!(matches!(payloads[0], Payload::Memory { .. }) && matches!(payloads[2], Payload::File { at: 3, .. }));
        assert_eq!(payloads[2].read().unwrap().as_ref(), b"six");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(payloads);
        assert!(matches!(store.put(b"ten".to_vec()).unwrap(), Payload::Memory { .. }));
        let large = store.put(b"eleven".to_vec()).unwrap();
        assert!(matches!(large, Payload::File { at: 0, .. }));
        assert_eq!((large.size(), large.read().unwrap().as_ref()), (6, b"eleven".as_slice()));
    }
}
