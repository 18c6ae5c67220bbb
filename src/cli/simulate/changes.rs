//! `--change` and `--spot` → what happens to devices.

use super::{MOST_HOURS, SimulateOptions, time};
use crate::cli::Failure;
use crate::diag::nearest;
use crate::simulate::Micros;
use crate::simulate::change::{Change, Spot, Stated, changes};
use crate::simulate::model::Pool;
use rust_decimal::Decimal;

/// The most often that a device is taken away, times an hour: beyond that nothing can be served.
const MOST_OFTEN: f64 = 10.0;
/// The most devices that a change may make of a kind.
const MOST_UNITS: i64 = 1_000_000;

/// Everything that happens to the devices until the end.
pub fn happening(options: &SimulateOptions, pools: &[Pool], end: Micros) -> Result<Vec<Change>, Failure> {
    let stated = options.change.iter().map(|text| stated(text, pools)).collect::<Result<Vec<_>, _>>()?;
    let back = time("spot-back", &options.spot_back, 1, MOST_HOURS)?;
    let mut spots: Vec<Spot> = Vec::new();
    for text in &options.spot {
        let spot = spot(text, pools, back)?;
        if spots.iter().any(|other| other.pool == spot.pool) {
            return Err(Failure::Usage(format!("`--spot` says twice how often `{}` goes", pools[spot.pool].name)));
        }
        spots.push(spot);
    }
    Ok(changes(pools, &stated, &spots, end, options.seed))
}

/// `2h: h100 * 6 at 1.9 usd/h`; either half may be missing.
fn stated(text: &str, pools: &[Pool]) -> Result<Stated, Failure> {
    let usage = || {
        let forms = "`2h: h100 * 6`, `8h: h100 at 1.9 usd/h` or both";
        Failure::Usage(format!("`--change` takes a time and what there is from then on, as {forms}, not `{text}`"))
    };
    let (at, rest) = text.split_once(':').ok_or_else(usage)?;
    let at = time("change", at.trim(), 1, MOST_HOURS)?;
    let (devices, price) = match rest.split_once(" at ") {
        Some((devices, price)) => (devices, Some(dollars(price).ok_or_else(usage)?)),
        None => (rest, None),
    };
    let (name, units) = match devices.split_once('*') {
        Some((name, units)) => {
            let units = units.trim().parse::<i64>().ok().filter(|units| (0..=MOST_UNITS).contains(units));
            (name, Some(units.ok_or_else(usage)?))
        }
        None => (devices, None),
    };
    if units.is_none() && price.is_none() {
        return Err(usage());
    }
    Ok(Stated { at, pool: known(name.trim(), pools)?, units, usd_per_hour: price })
}

/// `1.9 usd/h`.
fn dollars(text: &str) -> Option<Decimal> {
    let number = text.trim().strip_suffix("usd/h")?.trim().parse::<Decimal>().ok()?;
    (number >= Decimal::ZERO && number <= Decimal::from(MOST_UNITS)).then_some(number)
}

/// `h100=5%/h`.
fn spot(text: &str, pools: &[Pool], back: Micros) -> Result<Spot, Failure> {
    let share = |text: &str| {
        let share = text.trim().strip_suffix("/h")?.trim().strip_suffix('%')?.trim().parse::<f64>().ok()? / 100.0;
        (share > 0.0 && share <= MOST_OFTEN).then_some(share)
    };
    let parts = text.split_once('=').and_then(|(name, often)| Some((name.trim(), share(often)?)));
    let (name, per_hour) = parts.ok_or_else(|| {
        let most = MOST_OFTEN * 100.0;
        Failure::Usage(format!(
            "`--spot` takes a device and how often one goes, as `h100=5%/h`, at most {most}%/h, not `{text}`"
        ))
    })?;
    Ok(Spot { pool: known(name, pools)?, per_hour, back })
}

fn known(name: &str, pools: &[Pool]) -> Result<usize, Failure> {
    let names = || pools.iter().map(|pool| pool.name.as_str());
    names().position(|own| own == name).ok_or_else(|| {
        let near = nearest(name, names()).map_or(String::new(), |near| format!(": did you mean `{near}`?"));
        Failure::Usage(format!("the cluster has no `{name}`{near}"))
    })
}
