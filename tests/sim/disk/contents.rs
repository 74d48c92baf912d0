//! The contents of one file: what is on the medium for certain, what was written since, and what a reader sees. Knows no names.
//!
//! A write changes what a reader sees, and is *pending*. A sync puts everything pending on the medium. When the power goes, each
//! pending change is there, is not, or is there in part: what is torn is torn between sectors, or between words.

use corevault::base::rng::Rng;

/// What a disk writes at once, bytes.
pub const SECTOR_BYTES: usize = 512;
/// What memory writes at once, bytes: the finest tear.
pub const WORD_BYTES: usize = 8;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    durable: Vec<u8>,
    seen: Vec<u8>,
    pending: Vec<Change>,
    /// Changes that are pending no more: the number of the first pending one.
    settled: u64,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize { length: usize },
}

/// How the pending changes of a file fare when nobody has synced them. Chance alone would seldom lose everything or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// The medium is as it was at the last sync.
    Nothing,
    /// All of it was written back in time.
    Everything,
    /// It was written back in order, up to some place within a change.
    Prefix,
    /// Each change has a fate of its own.
    Mixed,
    /// Each change is there in part, torn between words.
    Shreds,
}

impl Survival {
    pub const ALL: [Survival; 5] =
        [Survival::Nothing, Survival::Everything, Survival::Prefix, Survival::Mixed, Survival::Shreds];

    pub fn any(rng: &mut Rng) -> Survival {
        Survival::ALL[rng.below(Survival::ALL.len() as u64) as usize]
    }
}

impl Contents {
    /// What a reader gets.
    pub fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// What is on the medium for certain.
    pub fn durable(&self) -> &[u8] {
        &self.durable
    }

    /// Changes made so far. A sync up to a mark is one of the changes before it.
    pub fn mark(&self) -> u64 {
        self.settled + self.pending.len() as u64
    }

    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        self.change(Change::Write { at, bytes: bytes.to_vec() });
    }

    /// Cuts the file, or appends zeros.
    pub fn resize(&mut self, length: usize) {
        self.change(Change::Resize { length });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.pending.push(change);
    }

    /// All that was changed is on the medium.
    pub fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
            self.settled += 1;
        }
    }

    /// The last change is on the medium, whatever became of those before it.
    pub fn sync_last(&mut self) {
        if let Some(change) = self.pending.pop() {
            // Marks count on: it is as if it had never been pending.
            change.apply(&mut self.durable);
        }
    }

    /// What was changed before the mark is on the medium. Of what came later each may be, whole, or is still pending.
    pub fn sync_before(&mut self, mark: u64, rng: &mut Rng) {
        let (before, eager) = ((mark.saturating_sub(self.settled)) as usize, rng.below(3));
        let later = self.pending.split_off(before.min(self.pending.len()));
        self.sync();
        // What is still pending must stay behind what it was written after: only a prefix can go early.
        let early = match eager {
            0 => 0,
            1 => later.len(),
            _ => rng.below(later.len() as u64 + 1) as usize,
        };
        self.pending = later;
        let rest = self.pending.split_off(early);
        self.sync();
        self.pending = rest;
    }

    /// A sync fails, as it does on Linux: of what was pending some is on the medium, and the rest never will be, whatever is
    /// synced later. A reader sees the lost changes, as long as they stay in memory, or sees the medium.
    pub fn fail_sync(&mut self, rng: &mut Rng) {
        let survival = Survival::any(rng);
        let pending = std::mem::take(&mut self.pending);
        self.settled += pending.len() as u64;
        survive(&pending, &mut self.durable, survival, rng, None);
        let forgets = rng.below(3);
        for change in pending {
            let Change::Write { at, bytes } = change else { continue };
            if forgets == 0 || (forgets == 1 && rng.below(2) == 0) {
                continue;
            }
            let end = (at + bytes.len()).min(self.seen.len());
            for place in at..end {
                self.seen[place] = self.durable.get(place).copied().unwrap_or(0);
            }
        }
    }

    /// The power goes. `stale` is what lay where the file grows, if the medium shows that instead of zeros.
    pub fn lose_power(&mut self, survival: Survival, rng: &mut Rng, stale: Option<&[u8]>) {
        let pending = std::mem::take(&mut self.pending);
        self.settled += pending.len() as u64;
        survive(&pending, &mut self.durable, survival, rng, stale);
        self.seen.clone_from(&self.durable);
    }

    /// Changes what is on the medium, behind everybody's back.
    pub fn damage(&mut self, change: impl Fn(&mut Vec<u8>)) {
        change(&mut self.durable);
        change(&mut self.seen);
    }
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes } => put(image, *at, bytes),
            Change::Resize { length } => image.resize(*length, 0),
        }
    }

    /// Applies each part of a write or not. Parts end at multiples of `unit` in the file. Where the file grows and the part is
    /// lost, there are zeros or what is stale, or the file does not grow.
    fn apply_torn(&self, image: &mut Vec<u8>, unit: usize, rng: &mut Rng, stale: Option<&[u8]>) {
        let Change::Write { at, bytes } = self else {
            if rng.below(2) == 0 {
                self.apply(image);
            }
            return;
        };
        let (length, grows) = (image.len(), rng.below(2) == 0);
        let mut done = 0;
        while done < bytes.len() {
            let place = at + done;
            let part = (unit - place % unit).min(bytes.len() - done);
            if rng.below(2) == 0 {
                put(image, place, &bytes[done..done + part]);
            } else if grows && place + part > length {
                let lost = place.max(length)..place + part;
                let old = |n: usize| stale.and_then(|stale| stale.get(n)).copied().unwrap_or(0);
                put(image, lost.start, &lost.clone().map(old).collect::<Vec<_>>());
            }
            done += part;
        }
    }
}

fn put(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[at..end].copy_from_slice(bytes);
}

fn survive(pending: &[Change], image: &mut Vec<u8>, survival: Survival, rng: &mut Rng, stale: Option<&[u8]>) {
    match survival {
        Survival::Nothing => {}
        Survival::Everything => pending.iter().for_each(|change| change.apply(image)),
        Survival::Prefix => {
            let whole = rng.below(pending.len() as u64 + 1) as usize;
            pending[..whole].iter().for_each(|change| change.apply(image));
            if let Some(Change::Write { at, bytes }) = pending.get(whole) {
                let unit = [WORD_BYTES, SECTOR_BYTES][rng.below(2) as usize];
                let end = at + rng.below(bytes.len() as u64 + 1) as usize;
                put(image, *at, &bytes[..(end - end % unit).saturating_sub(*at)]);
            }
        }
        Survival::Mixed => {
            for change in pending {
                match rng.below(4) {
                    0 => {}
                    1 => change.apply(image),
                    2 => change.apply_torn(image, SECTOR_BYTES, rng, stale),
                    _ => change.apply_torn(image, WORD_BYTES, rng, stale),
                }
            }
        }
        Survival::Shreds => {
            pending.iter().for_each(|change| change.apply_torn(image, WORD_BYTES, rng, stale));
        }
    }
}
