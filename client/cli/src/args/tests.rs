//! The command line as clap sees it.

use clap::CommandFactory;

use super::*;

fn process(arguments: &[&str]) -> Result<ProcessArgs, clap::Error> {
    let all = ["mps", "process"].iter().chain(arguments);
    match Arguments::try_parse_from(all)?.command {
        Command::Process(args) => Ok(args),
        _ => panic!("not process"),
    }
}

#[test]
fn nodes_of_every_kind_can_be_asked_for() {
    let flags = [
        "in.mp4",
        "--preset",
        "100010",
        "--preset",
        "preset-x",
        "--cover",
        "--watermark",
        "logo",
        "--nodes",
        "-",
    ];
    let args = process(&flags).unwrap().nodes;
    assert_eq!(args.presets, ["100010", "preset-x"]);
    assert_eq!(args.cover.as_deref(), Some("preset-snapshot-jpeg"));
    assert_eq!(args.watermarks, ["logo"]);
    assert_eq!(args.nodes, [PathBuf::from("-")]);
    let args = process(&["--cover=own", "in.mp4"]).unwrap();
    assert_eq!(
        (args.nodes.cover.as_deref(), args.inputs.as_slice()),
        (Some("own"), ["in.mp4".to_owned()].as_slice())
    );
    let args = process(&["--cover", "in.mp4"]).unwrap();
    assert_eq!(args.inputs, ["in.mp4"]);
}

#[test]
fn paths_of_a_mask_are_separated_by_commas() {
    let all = [
        "mps",
        "template",
        "update",
        "t",
        "-f",
        "x.json",
        "--mask",
        "comment,settings.transcode",
    ];
    let Command::Template(TemplateCommand::Update { mask, .. }) = Arguments::try_parse_from(all).unwrap().command else {
        panic!("not template update")
    };
    assert_eq!(mask, ["comment", "settings.transcode"]);
    assert!(Arguments::try_parse_from(["mps", "template", "create"]).is_err());
}

#[test]
fn command_line_is_consistent() {
    super::Arguments::command().debug_assert();
}
