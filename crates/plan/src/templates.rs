//! Templates: which ones a request names, and the checks and masks of their settings.

use std::collections::BTreeSet;

use mps_proto::{
    name,
    v1::{NodeSettings, ProcessMediaRequest, Watermark, node_settings::Settings, watermark},
};

use crate::{
    Violation,
    faults::{Faults, shown},
    kinds,
    overrides::{KindSettings, Origin, SettingsFaults, lay_over},
    presets,
};

/// Ids of the templates that nodes and watermarks of a request name, presets left out; sorted, each once.
/// Names that are malformed or of another project are left out: planning reports them.
pub fn template_names(request: &ProcessMediaRequest) -> Vec<String> {
    let operations = request.nodes.iter().filter_map(|node| node.operation.as_ref());
    let named = operations.flat_map(|operation| {
        let of_watermarks = kinds::watermarks_of(operation).iter().filter_map(watermark_template);
        kinds::template_of(operation).into_iter().chain(of_watermarks)
    });
    let ids: BTreeSet<&str> = named.filter_map(|text| Some(name::parse(text, "templates")?.1)).collect();
    let own = ids.into_iter().filter(|id| presets::find_preset(id, None).is_none());
    own.map(str::to_owned).collect()
}

fn watermark_template(mark: &Watermark) -> Option<&str> {
    match mark.source.as_ref()? {
        watermark::Source::Template(name) => Some(name),
        watermark::Source::Inline(_) => None,
    }
}

/// Checks the settings of a template as those of a node and tells their kind; all violations at once, with paths such as
/// `template.settings.transcode.video.crf`. The settings stay as they are: defaults are filled in when a node uses them.
pub fn check_template(settings: &NodeSettings, project: &str) -> Result<(NodeSettings, &'static str), Vec<Violation>> {
    let mut faults = Faults::default();
    let kind = match &settings.settings {
        Some(Settings::Transcode(found)) => check(found, "transcode", project, &mut faults),
        Some(Settings::Snapshot(found)) => check(found, "snapshot", project, &mut faults),
        Some(Settings::SampleSnapshot(found)) => check(found, "sample_snapshot", project, &mut faults),
        Some(Settings::ImageSprite(found)) => check(found, "image_sprite", project, &mut faults),
        Some(Settings::AnimatedImage(found)) => check(found, "animated_image", project, &mut faults),
        Some(Settings::AdaptiveStream(found)) => check(found, "adaptive_stream", project, &mut faults),
        Some(Settings::Watermark(found)) => check(found, "watermark", project, &mut faults),
        Some(Settings::Cover(_)) => {
            faults.add(
                "template.settings.cover",
                "must be unset: cover nodes take templates of kind snapshot; set snapshot",
            );
            ""
        }
        None => {
            faults.add("template.settings", "exactly one kind of settings must be set");
            ""
        }
    };
    if faults.is_empty() {
        Ok((settings.clone(), kind))
    } else {
        Err(faults.into_violations())
    }
}

fn check<S: KindSettings>(settings: &S, name: &str, project: &str, faults: &mut Faults) -> &'static str {
    let origin = Origin::of_field(format!("template.settings.{name}"));
    let mut settings_faults = SettingsFaults {
        origin: &origin,
        prefix: String::new(),
        project,
        faults,
    };
    settings.clone().settle(&mut settings_faults);
    S::KIND
}

/// Lays what `update` says at the paths of an update mask over the settings of a template. Paths are those of the whole
/// mask (`settings`, `settings.transcode`, `settings.transcode.video.crf`); others than of settings are passed over. An empty
/// mask replaces every setting that is set in `update`. The kind of a template stays.
pub fn lay_settings(current: &NodeSettings, update: &NodeSettings, mask: &[String]) -> Result<NodeSettings, Vec<Violation>> {
    let (Some(old), Some(new)) = (&current.settings, &update.settings) else {
        let touched = mask.iter().any(|path| path == "settings" || path.starts_with("settings."));
        return if touched {
            Err(one_violation("template.settings", "exactly one kind of settings must be set"))
        } else {
            Ok(current.clone())
        };
    };
    let laid = match (old, new) {
        (Settings::Transcode(old), Settings::Transcode(new)) => Settings::Transcode(lay("transcode", old, new, mask)?),
        (Settings::Snapshot(old), Settings::Snapshot(new)) => Settings::Snapshot(lay("snapshot", old, new, mask)?),
        (Settings::SampleSnapshot(old), Settings::SampleSnapshot(new)) => Settings::SampleSnapshot(lay("sample_snapshot", old, new, mask)?),
        (Settings::ImageSprite(old), Settings::ImageSprite(new)) => Settings::ImageSprite(lay("image_sprite", old, new, mask)?),
        (Settings::AnimatedImage(old), Settings::AnimatedImage(new)) => Settings::AnimatedImage(lay("animated_image", old, new, mask)?),
        (Settings::AdaptiveStream(old), Settings::AdaptiveStream(new)) => Settings::AdaptiveStream(lay("adaptive_stream", old, new, mask)?),
        (Settings::Watermark(old), Settings::Watermark(new)) => Settings::Watermark(lay("watermark", old, new, mask)?),
        _ => {
            return Err(one_violation(
                "template.settings",
                "are of another kind: a template keeps its kind; make a new one",
            ));
        }
    };
    Ok(NodeSettings { settings: Some(laid) })
}

fn lay<S: KindSettings>(name: &str, old: &S, new: &S, mask: &[String]) -> Result<S, Vec<Violation>> {
    let mut laid = old.clone();
    if mask.is_empty() {
        lay_over(&mut laid, &new.set_paths(), new);
        return Ok(laid);
    }
    let whole = format!("settings.{name}");
    let known = S::paths();
    let mut paths = Vec::new();
    let mut faults = Faults::default();
    for (index, path) in mask.iter().enumerate() {
        let below = path.strip_prefix(&whole).and_then(|rest| rest.strip_prefix('.'));
        match below {
            _ if path == "settings" || *path == whole => laid = new.clone(),
            Some(setting) if known.iter().any(|known| known == setting) => paths.push(setting.to_owned()),
            _ if path.starts_with("settings.") => faults.add(
                format!("update_mask.paths[{index}]"),
                format!("{} is no setting of a template of kind {}", shown(path), S::KIND),
            ),
            _ => {}
        }
    }
    lay_over(&mut laid, &paths, new);
    if faults.is_empty() {
        Ok(laid)
    } else {
        Err(faults.into_violations())
    }
}

fn one_violation(field: &str, description: &str) -> Vec<Violation> {
    vec![Violation {
        field: field.to_owned(),
        description: description.to_owned(),
    }]
}

#[cfg(test)]
mod tests;
