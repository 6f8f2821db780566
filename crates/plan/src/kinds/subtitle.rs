//! Subtitles of a node: tracks of their own, or drawn into the picture.

use mps_proto::v1::{
    StorageObject, Subtitle,
    subtitle::{Mode, Source},
    task_input,
};

use super::{
    tracks::{is_language, not_a_language},
    watermark::text,
};
use crate::{
    faults::Faults,
    input,
    overrides::{Origin, SettingsFaults},
    side::{SUBTITLE_BYTES, SideSource},
};

const MOST: usize = 10;
const DEFAULT_SIZE_PERCENT: f64 = 5.0;
const ONLY_BURNT_IN: &str = "needs MODE_BURN_IN: players choose how they show a track";

/// Checked subtitles whose file has no id yet.
#[derive(Debug, Clone)]
pub(crate) struct SubtitleDraft {
    pub subtitle: Subtitle,
    pub source: SideSource,
}

/// What the output takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Takes<'a> {
    /// Why no tracks fit, if none do.
    pub no_tracks: Option<&'a str>,
    /// Why nothing can be drawn, if so.
    pub no_picture: Option<&'a str>,
}

impl Takes<'_> {
    pub const ANY: Self = Self {
        no_tracks: None,
        no_picture: None,
    };
}

pub(super) fn check_all(subtitles: &[Subtitle], field: &str, takes: Takes, project: &str, faults: &mut Faults) -> Vec<SubtitleDraft> {
    let field = format!("{field}.subtitles");
    if subtitles.len() > MOST {
        let count = subtitles.len();
        faults.add(&*field, format!("has {count} subtitles; at most {MOST} are allowed"));
    }
    let mut drafts = Vec::new();
    let (mut burnt_in, mut defaults) = (0, 0);
    for (index, subtitle) in subtitles.iter().take(MOST).enumerate() {
        let place = format!("{field}[{index}]");
        burnt_in += usize::from(subtitle.mode() == Mode::BurnIn);
        defaults += usize::from(subtitle.is_default);
        if burnt_in > 1 && subtitle.mode() == Mode::BurnIn {
            faults.add(format!("{place}.mode"), "is the second one to burn in; at most one is allowed");
        }
        if defaults > 1 && subtitle.is_default {
            faults.add(format!("{place}.is_default"), "is the second default; at most one is allowed");
        }
        drafts.extend(check(subtitle, &place, takes, project, faults));
    }
    drafts
}

fn check(subtitle: &Subtitle, field: &str, takes: Takes, project: &str, faults: &mut Faults) -> Option<SubtitleDraft> {
    let origin = Origin::of_field(field);
    let mut at = SettingsFaults {
        origin: &origin,
        prefix: String::new(),
        project,
        faults,
    };
    let mode = at.choice("mode", subtitle.mode, Mode::Soft);
    let is_ass = has_ass_suffix(subtitle);
    let mut settled = match mode {
        Mode::BurnIn => settle_burnt_in(subtitle.clone(), is_ass, takes, &mut at),
        Mode::Soft | Mode::Unspecified => settle_track(subtitle.clone(), is_ass, takes, &mut at),
    };
    settled.mode = Some(mode.into());
    let source = take_source(&mut settled, field, project, faults)?;
    Some(SubtitleDraft { subtitle: settled, source })
}

fn settle_track(subtitle: Subtitle, is_ass: bool, takes: Takes, faults: &mut SettingsFaults) -> Subtitle {
    if let Some(why) = takes.no_tracks {
        faults.add("mode", why);
    }
    if is_ass {
        faults.add("mode", "must be MODE_BURN_IN: ASS can only be burnt in");
    }
    if subtitle.language.is_empty() {
        faults.add("language", "must be set with MODE_SOFT");
    } else if !is_language(&subtitle.language) {
        faults.add("language", not_a_language(&subtitle.language));
    }
    let name_field = faults.path("display_name");
    faults.faults.length(&name_field, &subtitle.display_name, 64);
    faults.unset("font", subtitle.font.as_ref(), ONLY_BURNT_IN);
    faults.unset("font_size_percent", subtitle.font_size_percent, ONLY_BURNT_IN);
    faults.unset("color", subtitle.color.as_ref(), ONLY_BURNT_IN);
    let display_name = if subtitle.display_name.is_empty() {
        subtitle.language.clone()
    } else {
        subtitle.display_name
    };
    Subtitle { display_name, ..subtitle }
}

fn settle_burnt_in(subtitle: Subtitle, is_ass: bool, takes: Takes, faults: &mut SettingsFaults) -> Subtitle {
    if let Some(why) = takes.no_picture {
        faults.add("mode", why);
    }
    const ONLY_SOFT: &str = "must be unset with MODE_BURN_IN: there is no track that has it";
    faults.unset("language", Some(()).filter(|()| !subtitle.language.is_empty()), ONLY_SOFT);
    faults.unset("display_name", Some(()).filter(|()| !subtitle.display_name.is_empty()), ONLY_SOFT);
    faults.unset("is_default", Some(()).filter(|()| subtitle.is_default), ONLY_SOFT);
    if is_ass {
        const WHY: &str = "must be unset: ASS says itself how it looks";
        faults.unset("font", subtitle.font.as_ref(), WHY);
        faults.unset("font_size_percent", subtitle.font_size_percent, WHY);
        faults.unset("color", subtitle.color.as_ref(), WHY);
        return subtitle;
    }
    if subtitle.font_size_percent.is_some_and(|size| !(1.0..=30.0).contains(&size)) {
        faults.add("font_size_percent", "must be 1 to 30");
    }
    Subtitle {
        font: Some(text::font("font", subtitle.font, faults)),
        font_size_percent: Some(subtitle.font_size_percent.unwrap_or(DEFAULT_SIZE_PERCENT)),
        color: Some(text::color("color", subtitle.color, "#FFFFFF", faults)),
        ..subtitle
    }
}

/// Takes out where the file is; `None` with a violation.
fn take_source(subtitle: &mut Subtitle, field: &str, project: &str, faults: &mut Faults) -> Option<SideSource> {
    let (source, name) = match subtitle.source.take() {
        None => {
            faults.add(field, "exactly one of object and url must be set");
            return None;
        }
        Some(Source::Object(object)) => {
            let object: StorageObject = input::check_object(&object, &format!("{field}.object"), project, faults)?;
            (task_input::Source::Object(object), "object")
        }
        Some(Source::Url(url)) => {
            if let Err(fault) = input::check_url(&url) {
                faults.add(format!("{field}.url"), fault);
                return None;
            }
            (task_input::Source::Url(url), "url")
        }
    };
    Some(SideSource {
        field: format!("{field}.{name}"),
        source,
        max_bytes: SUBTITLE_BYTES,
    })
}

/// Whether the name says ASS; what a name does not say the worker finds out.
fn has_ass_suffix(subtitle: &Subtitle) -> bool {
    let path = match &subtitle.source {
        Some(Source::Object(object)) => object.key.as_str(),
        Some(Source::Url(url)) => url.split(['?', '#']).next().unwrap_or_default(),
        None => "",
    };
    let suffix = path.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    suffix.eq_ignore_ascii_case("ass") || suffix.eq_ignore_ascii_case("ssa")
}

#[cfg(test)]
mod tests;
