//! What a new attempt is told of the sets that earlier ones began.

use mps_proto::worker::v1::{SetProgress, TrackProgress};

use crate::{
    app::App,
    service::{fence::UnitError, states::SetState},
    store::{
        leases::UnitRow,
        members::{self, TrackState},
        sets,
    },
};

/// How far the sets of a unit are; those that nobody began are left out.
pub async fn progress(app: &App, unit: &UnitRow) -> Result<Vec<SetProgress>, UnitError> {
    let mut all = Vec::new();
    for plan in unit.plan.nodes.iter().filter_map(|node| node.set.as_ref()) {
        let set = sets::get(&app.store, &plan.set_id).await?;
        if set.is_none_or(|set| set.state != SetState::Publishing) {
            continue;
        }
        all.push(SetProgress {
            set_id: plan.set_id.clone(),
            tracks: tracks(app, &plan.set_id).await?,
        });
    }
    Ok(all)
}

async fn tracks(app: &App, set_id: &str) -> Result<Vec<TrackProgress>, UnitError> {
    let known = sets::tracks(&app.store, app.store.reader(), set_id).await?;
    let states = members::states(&app.store, app.store.reader(), set_id).await?;
    let inits = members::init_checksums(&app.store, set_id).await?;
    let progress = known.into_iter().map(|track| {
        let number = track.info.number;
        let state = states
            .iter()
            .find(|state| state.track == number)
            .cloned()
            .unwrap_or(TrackState::default());
        TrackProgress {
            track: Some(track.info),
            segments: state.segments,
            next_start: Some(prost_types::Duration {
                seconds: state.end_ns / 1_000_000_000,
                nanos: (state.end_ns % 1_000_000_000) as i32,
            }),
            init_sha256: inits
                .iter()
                .find(|(track, _)| *track == number)
                .map(|(_, sha256)| sha256.clone())
                .unwrap_or_default(),
        }
    });
    Ok(progress.collect())
}
