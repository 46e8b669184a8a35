//! Least squares with coefficients that are not negative: a cost below nothing would only hide
//! that two features grew together.

/// Passes through the active set at most; it ends after about one for each column.
const PASSES_MAX: usize = 100;

/// The `x >= 0` that minimizes `|rows x - target|` (Lawson and Hanson's active set method, on the
/// normal equations: a handful of columns of one scale, which need no better). Columns that say
/// nothing get 0.
pub(super) fn nnls(rows: &[Vec<f64>], target: &[f64]) -> Vec<f64> {
    let columns = rows.first().map_or(0, Vec::len);
    let scale: Vec<f64> = (0..columns).map(|at| norm(rows, at)).collect();
    let cell = |row: &Vec<f64>, at: usize| if scale[at] > 0.0 { row[at] / scale[at] } else { 0.0 };
    let sum = |of: &dyn Fn(usize, &Vec<f64>) -> f64| {
        rows.iter().enumerate().map(|(at, row)| of(at, row)).sum::<f64>()
    };
    let gram: Vec<Vec<f64>> = (0..columns)
        .map(|i| (0..columns).map(|j| sum(&|_, row| cell(row, i) * cell(row, j))).collect())
        .collect();
    let right: Vec<f64> = (0..columns).map(|i| sum(&|at, row| cell(row, i) * target[at])).collect();

    let mut x = vec![0.0; columns];
    let mut free: Vec<usize> = Vec::new();
    for _ in 0..PASSES_MAX {
        let slope = |i: usize| right[i] - (0..columns).map(|j| gram[i][j] * x[j]).sum::<f64>();
        let enters = (0..columns)
            .filter(|i| !free.contains(i) && slope(*i) > 1e-9)
            .max_by(|a, b| slope(*a).total_cmp(&slope(*b)));
        let Some(enters) = enters else { break };
        free.push(enters);
        settle(&gram, &right, &mut free, &mut x);
    }
    x.iter().zip(&scale).map(|(x, scale)| if *scale > 0.0 { x / scale } else { 0.0 }).collect()
}

/// Moves `x` to the best values of the `free` columns; those that would pass 0 on the way stop
/// there and are free no more.
fn settle(gram: &[Vec<f64>], right: &[f64], free: &mut Vec<usize>, x: &mut [f64]) {
    while !free.is_empty() {
        let best = solve(gram, right, free);
        let step = |(at, best): (&usize, &f64)| {
            if *best > 0.0 { 1.0 } else { x[*at] / (x[*at] - best).max(f64::MIN_POSITIVE) }
        };
        let share = free.iter().zip(&best).map(step).fold(1.0, f64::min);
        for (at, best) in free.iter().zip(&best) {
            x[*at] += share * (best - x[*at]);
        }
        if share == 1.0 {
            return;
        }
        free.retain(|at| x[*at] > 1e-12);
        (0..x.len()).filter(|at| !free.contains(at)).for_each(|at| x[at] = 0.0);
    }
}

/// Solves the normal equations of the `free` columns (Gauss, rows exchanged). A column that the
/// others make up gets 0.
fn solve(gram: &[Vec<f64>], right: &[f64], free: &[usize]) -> Vec<f64> {
    let n = free.len();
    let mut rows: Vec<Vec<f64>> = free
        .iter()
        .map(|i| free.iter().map(|j| gram[*i][*j]).chain([right[*i]]).collect())
        .collect();
    for at in 0..n {
        let largest =
            (at..n).max_by(|a, b| rows[*a][at].abs().total_cmp(&rows[*b][at].abs())).unwrap_or(at);
        rows.swap(at, largest);
        if rows[at][at].abs() < 1e-12 {
            continue;
        }
        let pivot = rows[at].clone();
        for row in &mut rows[at + 1..] {
            let factor = row[at] / pivot[at];
            row.iter_mut().zip(&pivot).for_each(|(cell, above)| *cell -= factor * above);
        }
    }
    let mut x = vec![0.0; n];
    for at in (0..n).rev() {
        let known: f64 = (at + 1..n).map(|j| rows[at][j] * x[j]).sum();
        let pivot = rows[at][at];
        x[at] = if pivot.abs() < 1e-12 { 0.0 } else { (rows[at][n] - known) / pivot };
    }
    x
}

/// Which column is, but for a share `tolerance` of its squares, made up of the ones before it, and
/// which of those it is most like. `None` if none is (Gram-Schmidt).
pub(super) fn dependent(rows: &[Vec<f64>], tolerance: f64) -> Option<(usize, usize)> {
    let columns = rows.first().map_or(0, Vec::len);
    let unit = |at: usize| -> Vec<f64> {
        let norm = norm(rows, at).max(f64::MIN_POSITIVE);
        rows.iter().map(|row| row[at] / norm).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for at in 0..columns {
        let mut rest = unit(at);
        for base in &basis {
            let along = dot(&rest, base);
            rest.iter_mut().zip(base).for_each(|(rest, base)| *rest -= along * base);
        }
        let left = dot(&rest, &rest);
        if left < tolerance {
            let alike = |other: &usize| dot(&unit(at), &unit(*other)).abs();
            let most = (0..at).max_by(|a, b| alike(a).total_cmp(&alike(b)));
            return Some((at, most.unwrap_or(at)));
        }
        basis.push(rest.iter().map(|cell| cell / left.sqrt()).collect());
    }
    None
}

fn norm(rows: &[Vec<f64>], at: usize) -> f64 {
    rows.iter().map(|row| row[at] * row[at]).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn what_is_not_negative_is_found_exactly() {
        let rows = vec![vec![1.0, 2.0], vec![3.0, 1.0], vec![1.0, 1.0]];
        let x = nnls(&rows, &[8.0, 9.0, 5.0]);
        assert!((x[0] - 2.0).abs() < 1e-9 && (x[1] - 3.0).abs() < 1e-9, "{x:?}");
        assert_eq!(nnls(&[vec![1.0], vec![2.0]], &[-1.0, -2.0]), [0.0]);
        assert_eq!(nnls(&[vec![0.0, 1.0], vec![0.0, 1.0]], &[1.0, 1.0])[0], 0.0);
    }

    /// The conditions that only the minimum meets: no slope where x is free, none upward where it
    /// is 0.
    #[test]
    fn the_result_is_the_minimum_for_any_input() {
        let mut rng = StdRng::seed_from_u64(4);
        for _ in 0..300 {
            let columns = rng.random_range(1..8);
            let row =
                |rng: &mut StdRng| (0..columns).map(|_| rng.random_range(-1.0..1.0)).collect();
            let rows: Vec<Vec<f64>> = (0..12).map(|_| row(&mut rng)).collect();
            let target: Vec<f64> = (0..12).map(|_| rng.random_range(-1.0..1.0)).collect();
            let x = nnls(&rows, &target);
            for at in 0..columns {
                let slope: f64 = rows
                    .iter()
                    .zip(&target)
                    .map(|(row, y)| {
                        row[at] * (y - row.iter().zip(&x).map(|(a, x)| a * x).sum::<f64>())
                    })
                    .sum();
                assert!(x[at] >= 0.0 && slope < 1e-6, "{x:?} {slope}");
                assert!(x[at] == 0.0 || slope.abs() < 1e-6, "{x:?} {slope}");
            }
        }
    }

    #[test]
    fn a_column_made_of_others_is_found() {
        let rows = |third: fn(f64, f64) -> f64| {
            let pairs = [(1.0, 2.0), (2.0, 1.0), (3.0, 5.0), (4.0, 4.0)];
            pairs.map(|(a, b)| vec![a, b, third(a, b)])
        };
        assert_eq!(dependent(&rows(|a, b| a + 0.01 * b), 1e-4), Some((2, 0)));
        assert_eq!(dependent(&rows(|a, b| a * b), 1e-4), None);
    }
}
