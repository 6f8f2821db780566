//! Vector graphics as watermarks.

use mps_proto::v1::SvgWatermark;

use super::length::{self, follows};
use crate::{fields::fields, overrides::SettingsFaults};

const MOST_CHARACTERS: usize = 2_000_000;

fields!(SvgWatermark { svg, width, height });

pub(super) fn settle(settings: SvgWatermark, faults: &mut SettingsFaults) -> SvgWatermark {
    match settings.svg.as_deref().unwrap_or_default() {
        "" => faults.add("svg", "must be set"),
        document => {
            if let Err(fault) = check_document(document) {
                faults.add("svg", fault);
            }
        }
    }
    let width = length::side("width", settings.width, "10%", true, faults);
    let height = length::side("height", settings.height, "0px", true, faults);
    if follows(&width) && follows(&height) {
        faults.add("height", "must not be 0px beside a width of 0px");
    }
    SvgWatermark {
        svg: settings.svg,
        width: Some(width),
        height: Some(height),
    }
}

/// The document must be an SVG that refers to nothing outside itself. Stricter than needed: what only looks like a reference,
/// in a comment or in text, is refused too.
fn check_document(document: &str) -> Result<(), String> {
    let count = document.chars().count();
    if count > MOST_CHARACTERS {
        return Err(format!("has {count} characters; at most {MOST_CHARACTERS} are allowed"));
    }
    let folded = document.to_ascii_lowercase();
    if !folded.contains("<svg") {
        return Err("is no SVG document".into());
    }
    for word in [
        "<!doctype",
        "<!entity",
        "<?xml-stylesheet",
        "@import",
        "<script",
        "<foreignobject",
        "xml:base",
    ] {
        if folded.contains(word) {
            return Err(format!("must not contain {word}"));
        }
    }
    check_references(&folded, "href", '=')?;
    check_references(&folded, "src", '=')?;
    check_references(&folded, "url", '(')
}

/// Every `{name}{sign}"target"` must name something in the document, or carry a picture (`data:image/`).
fn check_references(document: &str, name: &str, sign: char) -> Result<(), String> {
    let mut rest = document;
    while let Some(at) = rest.find(name) {
        rest = rest.get(at + name.len()..).unwrap_or_default();
        let Some(target) = rest.trim_start().strip_prefix(sign) else {
            continue;
        };
        let target = target.trim_start_matches(|character: char| character.is_whitespace() || character == '"' || character == '\'');
        if !target.starts_with('#') && !target.starts_with("data:image/") {
            return Err(format!(
                "must not refer to files and URLs: {name} must begin with \"#\" or \"data:image/\""
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_refer_to_themselves_only() {
        for good in [
            "<svg xmlns=\"http://www.w3.org/2000/svg\"><rect fill=\"url(#a)\"/></svg>",
            "<?xml version=\"1.0\"?><SVG><use xlink:href=\"#a\"/></SVG>",
            "<svg><image href = 'data:image/png;base64,AAAA'/></svg>",
            "<svg><text>url of a curl</text></svg>",
        ] {
            assert_eq!(check_document(good), Ok(()), "{good}");
        }
        for bad in [
            "hello",
            "<svg><image href=\"file:///etc/passwd\"/></svg>",
            "<svg><image xlink:HREF = 'http://h/a.png'/></svg>",
            "<svg><image href=\"a.png\"/></svg>",
            "<svg><image href=\"data:text/html,x\"/></svg>",
            "<svg><rect style=\"fill: url( 'a.svg#b' )\"/></svg>",
            "<!DOCTYPE svg><svg/>",
            "<svg><style>@import 'a.css';</style></svg>",
            "<svg><script>1</script></svg>",
        ] {
            assert!(check_document(bad).is_err(), "{bad}");
        }
    }
}
