//! Stamps of packets that are copied. Matroska says when a picture is shown and not when it is decoded; AVI the other way round; program
//! streams say it of some pictures only. Muxers need both, decoding times that rise, and how long each packet lasts. Pure; times in
//! nanoseconds, packets in the order of decoding.

use std::{cmp::Reverse, collections::BinaryHeap, collections::VecDeque};

use super::stamps::LEAST_LENGTH;
use crate::parse::pictures::Kind;

/// No codec reorders pictures further than this.
const AHEAD: usize = 24;
/// Decoding times are at least this part of a step apart, where pictures are decoded late.
const LEAST_PART: i64 = 8;

/// What a packet says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub shown: Option<i64>,
    pub decoded: Option<i64>,
    pub length: Option<i64>,
    pub kind: Kind,
}

/// What it is told to a muxer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamped {
    pub shown: i64,
    pub decoded: i64,
    pub length: i64,
}

/// Which of its stamps an input means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamps {
    Both,
    /// Matroska, WebM.
    Shown,
    /// AVI.
    Decoded,
}

/// The packets cannot be put into order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Disorder {
    #[error("the input does not say when its pictures are shown")]
    Unsaid,
    #[error("the input has two pictures in one packet")]
    Packed,
}

struct Waiting<T> {
    shown: i64,
    decoded: Option<i64>,
    length: Option<i64>,
    item: T,
}

/// Gives packets back with all their stamps, some packets later.
pub struct Sequence<T> {
    stamps: Stamps,
    /// Packets until it is known whether any are bidirectional; `None`: it is.
    undecided: Option<Vec<(Told, T)>>,
    /// Whether references wait for the next one.
    reorders: bool,
    /// Distance of pictures where nothing tells.
    nominal: i64,
    /// A reference whose time of showing is that when the next one is decoded, and what follows it.
    open: VecDeque<(Told, T)>,
    waiting: VecDeque<Waiting<T>>,
    /// Times of showing that are no times of decoding yet.
    unused: BinaryHeap<Reverse<i64>>,
    /// By how many packets decoding is ahead of showing; known with the first packet that is given.
    lag: Option<usize>,
    given: usize,
    last: Option<Stamped>,
    last_told: Option<i64>,
}

impl<T> Sequence<T> {
    /// `nominal`: distance of pictures where nothing tells.
    pub fn new(stamps: Stamps, nominal: i64) -> Self {
        Self {
            undecided: (stamps == Stamps::Decoded).then(Vec::new),
            reorders: true,
            stamps,
            nominal: nominal.max(1),
            open: VecDeque::new(),
            waiting: VecDeque::new(),
            unused: BinaryHeap::new(),
            lag: None,
            given: 0,
            last: None,
            last_told: None,
        }
    }

    /// Takes the next packet.
    pub fn push(&mut self, told: Told, item: T) -> Result<(), Disorder> {
        let shown = told.shown.filter(|_| self.stamps != Stamps::Decoded);
        match told.kind {
            Kind::Packed if shown.is_none() => return Err(Disorder::Packed),
            Kind::Reordered if shown.is_none() => return Err(Disorder::Unsaid),
            _ => {}
        }
        let next = || Some(self.last_told? + self.nominal);
        let decoded = match self.stamps {
            Stamps::Shown => None,
            _ => told.decoded.or_else(next),
        };
        if shown.is_none() && decoded.is_none() {
            return Err(Disorder::Unsaid);
        }
        self.last_told = decoded.or(self.last_told);
        let told = Told { shown, decoded, ..told };
        let Some(undecided) = &mut self.undecided else {
            self.order(told, item);
            return Ok(());
        };
        undecided.push((told, item));
        if told.kind == Kind::Bidirectional || undecided.len() >= AHEAD {
            self.decide();
        }
        Ok(())
    }

    /// Without pictures that refer both ways each is shown when it is decoded.
    fn decide(&mut self) {
        let undecided = self.undecided.take().unwrap_or_default();
        if !undecided.is_empty() {
            self.reorders = undecided.iter().any(|(told, _)| told.kind == Kind::Bidirectional);
        }
        for (told, item) in undecided {
            self.order(told, item);
        }
    }

    fn order(&mut self, mut told: Told, item: T) {
        self.reorders |= told.kind == Kind::Bidirectional;
        if !self.reorders && told.shown.is_none() {
            told.shown = told.decoded;
        }
        if told.kind != Kind::Bidirectional {
            self.close(told.decoded);
        }
        self.open.push_back((told, item));
        if self
            .open
            .front()
            .is_some_and(|(first, _)| first.shown.is_some() || first.kind == Kind::Bidirectional)
        {
            self.close(None);
        }
    }

    /// The reference that waits is shown when the next one is decoded; without a next one behind all that follows it.
    fn close(&mut self, next: Option<i64>) {
        let followers = i64::try_from(self.open.len()).unwrap_or(1);
        for (told, item) in std::mem::take(&mut self.open) {
            let shown = told.shown.or_else(|| match told.kind {
                Kind::Bidirectional => told.decoded,
                _ => next.or_else(|| Some(told.decoded? + followers * self.nominal)),
            });
            let Some(shown) = shown.or(told.decoded) else { continue };
            self.unused.push(Reverse(shown));
            self.waiting.push_back(Waiting {
                shown,
                decoded: told.decoded,
                length: told.length,
                item,
            });
        }
    }

    /// No more packets come.
    pub fn end(&mut self) {
        self.decide();
        self.close(None);
    }

    /// A packet whose stamps are known. `ended`: `end` was called.
    pub fn next(&mut self, ended: bool) -> Option<(Stamped, T)> {
        let is_told = self.waiting.front().is_some_and(|first| first.decoded.is_some());
        let enough = if is_told { 1 } else { AHEAD };
        if self.waiting.len() <= enough && !ended {
            return None;
        }
        let decoded = self.decoding_time()?;
        let first = self.waiting.pop_front()?;
        let length = self.length(&first, decoded);
        let stamped = Stamped {
            shown: first.shown,
            decoded,
            length,
        };
        self.last = Some(stamped);
        self.given += 1;
        Some((stamped, first.item))
    }

    fn decoding_time(&mut self) -> Option<i64> {
        let first = self.waiting.front()?;
        if let Some(told) = first.decoded {
            let rising = self.last.map_or(told, |last| told.max(last.decoded + 1));
            return Some(rising.min(first.shown.max(self.last.map_or(i64::MIN, |last| last.decoded + 1))));
        }
        let lag = match self.lag {
            Some(lag) => lag,
            None => *self.lag.insert(self.reordering()),
        };
        // The picture that is shown next must be decoded by then, with all that stand in front of it.
        let (before, bound) = self.soonest()?;
        let step = self.step();
        let wanted = match self.unused.peek() {
            Some(Reverse(shown)) if self.given >= lag => *shown,
            _ => self.first_shown()? - i64::try_from(lag - self.given.min(lag)).unwrap_or(0) * step,
        };
        let last = self.last.map(|last| last.decoded);
        if wanted + before * (step / LEAST_PART) <= bound && last.is_none_or(|last| wanted > last) {
            if self.given >= lag {
                self.unused.pop();
            }
            return Some(wanted);
        }
        // Pictures are reordered further than before: decoding falls behind by one more.
        self.lag = Some(lag + 1);
        let last = last.unwrap_or(bound - step);
        Some(last + ((bound - last) / (before + 1)).max(1))
    }

    /// How many packets lie between one and its place in the order of showing, at most.
    fn reordering(&self) -> usize {
        let place = |(at, packet): (usize, &Waiting<T>)| {
            let sooner = self.waiting.iter().filter(|other| other.shown < packet.shown).count();
            at.saturating_sub(sooner)
        };
        self.waiting.iter().enumerate().map(place).max().unwrap_or(0)
    }

    /// The waiting picture that is shown first: how many stand in front of it, and when that is.
    fn soonest(&self) -> Option<(i64, i64)> {
        let soonest = self.waiting.iter().enumerate().min_by_key(|(_, packet)| packet.shown)?;
        Some((i64::try_from(soonest.0).unwrap_or(0), soonest.1.shown))
    }

    fn first_shown(&self) -> Option<i64> {
        self.unused.peek().map(|Reverse(shown)| *shown)
    }

    /// Distance of the next two pictures in the order of showing.
    fn step(&self) -> i64 {
        let mut shown: Vec<i64> = self.waiting.iter().map(|packet| packet.shown).collect();
        shown.sort_unstable();
        let step = shown.windows(2).find_map(|pair| match pair {
            [before, after] if after > before => Some(after - before),
            _ => None,
        });
        step.unwrap_or(self.nominal)
    }

    /// How long a packet lasts: what it says, unless that is nothing beside the steps around it.
    fn length(&self, packet: &Waiting<T>, decoded: i64) -> i64 {
        let next = self.waiting.front().and_then(|next| next.decoded).map(|next| next - decoded);
        let before = self.last.map(|last| decoded - last.decoded);
        let step = next.or(before).filter(|step| *step > 0).unwrap_or(self.nominal);
        let least = match next {
            Some(_) => step / 4,
            None => (step / 4).min(LEAST_LENGTH),
        };
        packet.length.filter(|length| *length > least).unwrap_or(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(shown: Option<i64>, decoded: Option<i64>, kind: Kind) -> Told {
        Told {
            shown,
            decoded,
            length: Some(10),
            kind,
        }
    }

    fn run(stamps: Stamps, packets: &[Told]) -> Vec<Stamped> {
        let mut sequence = Sequence::new(stamps, 10);
        let mut given = Vec::new();
        for packet in packets {
            sequence.push(*packet, ()).unwrap();
            given.extend(std::iter::from_fn(|| sequence.next(false)));
        }
        sequence.end();
        given.extend(std::iter::from_fn(|| sequence.next(true)));
        given.into_iter().map(|(stamped, ())| stamped).collect()
    }

    /// Decoding times rise, and no picture is shown before it is decoded.
    fn is_sound(stamped: &[Stamped]) {
        assert!(stamped.windows(2).all(|pair| pair[0].decoded < pair[1].decoded), "{stamped:?}");
        assert!(stamped.iter().all(|packet| packet.decoded <= packet.shown), "{stamped:?}");
    }

    #[test]
    fn decoding_times_follow_from_the_order_of_showing() {
        let shown = [0, 40, 20, 10, 30, 80, 60, 50, 70];
        let packets: Vec<_> = shown.iter().map(|shown| told(Some(*shown), None, Kind::Reference)).collect();
        let stamped = run(Stamps::Both, &packets);
        is_sound(&stamped);
        let decoded: Vec<_> = stamped.iter().map(|packet| packet.decoded).collect();
        assert_eq!(decoded, [-20, -10, 0, 10, 20, 30, 40, 50, 60]);
        assert!(stamped.iter().all(|packet| packet.length == 10));
    }

    #[test]
    fn reordering_that_grows_late_keeps_times_rising() {
        let plain = (0..40).map(|number| number * 10);
        let reordered = [440, 420, 410, 430, 480, 460, 450, 470, 400];
        let packets: Vec<_> = plain
            .chain(reordered)
            .map(|shown| told(Some(shown), None, Kind::Reference))
            .collect();
        is_sound(&run(Stamps::Both, &packets));
    }

    #[test]
    fn times_of_showing_follow_from_kinds_of_pictures() {
        use Kind::{Bidirectional as B, Reference as R};
        let kinds = [R, R, B, B, R, B, R];
        let packets: Vec<_> = (0..).zip(kinds).map(|(number, kind)| told(None, Some(number * 10), kind)).collect();
        let stamped = run(Stamps::Decoded, &packets);
        is_sound(&stamped);
        let shown: Vec<_> = stamped.iter().map(|packet| packet.shown).collect();
        assert_eq!(shown, [10, 40, 20, 30, 60, 50, 70]);
    }

    #[test]
    fn without_bidirectional_pictures_each_is_shown_when_it_is_decoded() {
        let packets: Vec<_> = (0..4).map(|number| told(None, Some(number * 10), Kind::Reference)).collect();
        let stamped = run(Stamps::Decoded, &packets);
        assert!(stamped.iter().all(|packet| packet.shown == packet.decoded), "{stamped:?}");
    }

    #[test]
    fn what_some_pictures_say_is_kept() {
        use Kind::{Bidirectional as B, Reference as R};
        let packets = [
            told(Some(10), Some(0), R),
            told(None, None, R),
            told(None, None, B),
            told(Some(50), Some(30), R),
            told(None, None, B),
        ];
        let stamped = run(Stamps::Both, &packets);
        is_sound(&stamped);
        let shown: Vec<_> = stamped.iter().map(|packet| packet.shown).collect();
        assert_eq!(shown, [10, 30, 20, 50, 40]);
    }

    #[test]
    fn what_cannot_be_ordered_is_said() {
        let push = |kind| Sequence::new(Stamps::Decoded, 10).push(told(None, Some(0), kind), ());
        assert_eq!(push(Kind::Packed), Err(Disorder::Packed));
        assert_eq!(push(Kind::Reordered), Err(Disorder::Unsaid));
        let unstamped = Sequence::new(Stamps::Both, 10).push(told(None, None, Kind::Reference), ());
        assert_eq!(unstamped, Err(Disorder::Unsaid));
    }

    #[test]
    fn a_packet_without_a_length_lasts_until_the_next() {
        let packets: Vec<_> = (0..4i64)
            .map(|number| Told {
                length: [None, Some(0), Some(10), Some(1)][number as usize],
                ..told(Some(number * 10), Some(number * 10), Kind::Reference)
            })
            .collect();
        assert!(run(Stamps::Both, &packets).iter().all(|packet| packet.length == 10));
    }
}
