//! The pace of pictures: a constant frame rate, or a longest time that a picture stands before it is told again. The first picture is shown
//! from the beginning on, the last one as long as it lasts. Pure; times in nanoseconds from the beginning of the output.

use std::time::Duration;

/// A picture stands so long before it is told again, unless pictures of its film last longer.
const LONG: i64 = 100_000_000;

/// What pace pictures get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Frames per second: each picture stands in the place next to it.
    Constant(i32, i32),
    /// Pictures keep their times; one that stands for long is told again at the places of this rate.
    Standing(i32, i32),
}

/// A picture that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told<T> {
    pub time: i64,
    pub length: i64,
    pub picture: T,
    /// Whether it was told before.
    pub repeats: bool,
}

/// What is told of one picture, made as it is taken: one that stands for a day is told millions of times.
pub type Telling<T> = Box<dyn Iterator<Item = Told<T>> + Send>;

/// Frames per second as a fraction, above zero.
#[derive(Debug, Clone, Copy)]
struct Rate(i128, i128);

/// Gives pictures a pace.
#[derive(Debug)]
pub struct Pacer<T> {
    pace: Pace,
    begin: i64,
    /// The last picture, its time, and how long it says that it lasts.
    held: Option<(T, i64, i64)>,
    /// The next place of a constant rate.
    next: i64,
    /// Whether any picture was told.
    has_told: bool,
}

impl<T: Clone + Send + 'static> Pacer<T> {
    /// `begin`: where the attempt's running time is zero.
    pub fn new(pace: Pace, begin: Duration) -> Self {
        let begin = i64::try_from(begin.as_nanos()).unwrap_or(i64::MAX);
        let mut pacer = Self {
            pace,
            begin,
            held: None,
            next: 0,
            has_told: false,
        };
        let Rate(num, den) = pacer.rate();
        let unit = den * 1_000_000_000;
        pacer.next = i64::try_from((i128::from(begin) * num + unit - 1).div_euclid(unit)).unwrap_or(0);
        pacer
    }

    /// The picture that is never told if the next one comes at a time.
    pub fn left_out_for(&self, time: i64) -> Option<&T> {
        let (held, ..) = self.held.as_ref()?;
        let is_full = matches!(self.pace, Pace::Constant(..)) && self.rate().place_of(time) <= self.next;
        is_full.then_some(held)
    }

    /// Takes the next picture; gives what is told before it.
    pub fn push(&mut self, picture: T, time: i64, length: i64) -> Telling<T> {
        let Some((held, since, _)) = self.held.take() else {
            // One that comes late is shown from the beginning on.
            let late = (time - self.begin).max(0);
            self.held = Some((picture, time - late, length + late));
            return Box::new(std::iter::empty());
        };
        let time = time.max(since + 1);
        self.held = Some((picture, time, length));
        self.told_until(held, since, time)
    }

    /// No more pictures come.
    pub fn end(&mut self) -> Telling<T> {
        let Some((held, since, lasts)) = self.held.take() else {
            return Box::new(std::iter::empty());
        };
        let told = self.told_until(held.clone(), since, since + lasts.max(1));
        if self.has_told { told } else { self.told_at(held, 1) }
    }

    fn told_until(&mut self, held: T, since: i64, until: i64) -> Telling<T> {
        match self.pace {
            Pace::Constant(..) => {
                let places = self.rate().place_of(until) - self.next;
                self.told_at(held, places)
            }
            Pace::Standing(..) => {
                self.has_told = true;
                self.rate().standing(held, since, until)
            }
        }
    }

    /// The picture in the next places of a constant rate.
    fn told_at(&mut self, held: T, places: i64) -> Telling<T> {
        let (from, rate) = (self.next, self.rate());
        self.next += places.max(0);
        self.has_told |= self.next > from;
        Box::new((from..self.next).map(move |place| Told {
            time: rate.time_of(place),
            length: rate.time_of(place + 1) - rate.time_of(place),
            picture: held.clone(),
            repeats: place > from,
        }))
    }

    fn rate(&self) -> Rate {
        let (Pace::Constant(num, den) | Pace::Standing(num, den)) = self.pace;
        Rate(i128::from(num.max(1)), i128::from(den.max(1)))
    }
}

impl Rate {
    /// A picture from a time to another, told again where it stands for long.
    fn standing<T: Clone + Send + 'static>(self, held: T, since: i64, until: i64) -> Telling<T> {
        let step = self.time_of(1);
        let stands = until - since > LONG.max(step * 3 / 2);
        let places = self.place_of(since) + 1..if stands { i64::MAX } else { i64::MIN };
        let again = places
            .map(move |place| self.time_of(place))
            .take_while(move |time| *time <= until - step / 2);
        let times = std::iter::once(since).chain(again);
        let ends = times.clone().skip(1).chain([until]);
        Box::new(times.zip(ends).map(move |(time, end)| Told {
            time,
            length: (end - time).max(1),
            picture: held.clone(),
            repeats: time > since,
        }))
    }

    fn place_of(self, time: i64) -> i64 {
        let Self(num, den) = self;
        let place = (i128::from(time) * num * 2 + den * 1_000_000_000).div_euclid(den * 2_000_000_000);
        i64::try_from(place).unwrap_or(0)
    }

    fn time_of(self, place: i64) -> i64 {
        let Self(num, den) = self;
        i64::try_from(i128::from(place) * den * 1_000_000_000 / num).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Times in milliseconds with the picture's letter.
    fn paced(pace: Pace, begin: u64, pictures: &[(char, i64, i64)]) -> Vec<(i64, char)> {
        let mut pacer = Pacer::new(pace, Duration::from_millis(begin));
        let mut told = Vec::new();
        for (picture, time, length) in pictures {
            told.extend(pacer.push(*picture, time * MS, length * MS));
        }
        told.extend(pacer.end());
        assert!(
            told.windows(2).all(|pair| pair[0].time + pair[0].length == pair[1].time),
            "{told:?}"
        );
        told.iter().map(|told| (told.time / MS, told.picture)).collect()
    }

    #[test]
    fn a_constant_rate_repeats_and_leaves_out() {
        let rate = Pace::Constant(10, 1);
        let pictures = [('a', 130, 50), ('b', 190, 30), ('c', 230, 30), ('d', 500, 200)];
        let told = paced(rate, 0, &pictures);
        assert_eq!(
            told,
            [(0, 'a'), (100, 'a'), (200, 'c'), (300, 'c'), (400, 'c'), (500, 'd'), (600, 'd')]
        );
        let mut pacer = Pacer::new(rate, Duration::ZERO);
        assert_eq!(pacer.push('a', 0, MS).count(), 0);
        assert_eq!((pacer.left_out_for(20 * MS), pacer.left_out_for(60 * MS)), (Some(&'a'), None));
    }

    #[test]
    fn half_of_the_pictures_are_the_first_of_each_pair() {
        let pictures: Vec<_> = (0..8)
            .map(|number| (char::from(b'a' + number), i64::from(number) * 50, 50))
            .collect();
        assert_eq!(
            paced(Pace::Constant(10, 1), 0, &pictures),
            [(0, 'a'), (100, 'c'), (200, 'e'), (300, 'g')]
        );
        assert_eq!(paced(Pace::Constant(10, 1), 0, &[('a', 0, 1)]), [(0, 'a')]);
    }

    #[test]
    fn places_do_not_depend_on_where_an_attempt_begins() {
        let rate = Pace::Constant(30_000, 1001);
        let pictures: Vec<_> = (0..90).map(|number| ('a', number * 1001 / 30, 33)).collect();
        let whole = paced(rate, 0, &pictures);
        let later = paced(rate, 1000, &pictures[30..]);
        assert_eq!(whole.len(), 90);
        assert!(whole.ends_with(&later) && later[0].0 == 1001, "{later:?}");
    }

    #[test]
    fn a_picture_that_stands_for_years_is_told_without_being_counted_before() {
        const YEARS: i64 = 100_000_000_000;
        for pace in [Pace::Constant(60, 1), Pace::Standing(60, 1)] {
            let mut pacer = Pacer::new(pace, Duration::ZERO);
            assert_eq!(pacer.push('a', 0, 1).count(), 0);
            let first: Vec<_> = pacer.push('b', YEARS * MS, 1).take(3).map(|told| told.time / MS).collect();
            assert_eq!(first, [0, 16, 33]);
        }
    }

    #[test]
    fn a_picture_that_stands_is_told_again() {
        let pace = Pace::Standing(10, 1);
        let told = paced(pace, 0, &[('a', 40, 40), ('b', 130, 40), ('c', 560, 40), ('d', 700, 260)]);
        let expected = [
            (0, 'a'),
            (130, 'b'),
            (200, 'b'),
            (300, 'b'),
            (400, 'b'),
            (500, 'b'),
            (560, 'c'),
            (700, 'd'),
            (800, 'd'),
            (900, 'd'),
        ];
        assert_eq!(told, expected);
        assert_eq!(paced(pace, 0, &[('a', 0, 5000)]).len(), 50);
        assert_eq!(paced(pace, 0, &[('a', 0, 40)]), [(0, 'a')]);
    }
}
