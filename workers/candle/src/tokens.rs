//! `tokenizer.json` -> texts as ids, cut to what a model can take, and batches of them in one length.

use crate::failure::Failure;
use crate::weights::Weights;
use candle_core::{Device, Tensor};
use tokenizers::{Tokenizer, TruncationParams};

/// The tokenizer of a model.
pub fn of(weights: &Weights) -> Result<Tokenizer, Failure> {
    let path = weights.folder.join("tokenizer.json");
    if !path.is_file() {
        let message = format!("`{}` has no `tokenizer.json`", weights.folder.display());
        return Err(Failure::weights(message + ": `AutoTokenizer.from_pretrained(…).save_pretrained(…)` writes one"));
    }
    Tokenizer::from_file(&path).map_err(|e| Failure::weights(format!("`{}` cannot be used: {e}", path.display())))
}

/// Has a tokenizer cut texts to so many tokens, those that mark start and end included, and pad nothing.
pub fn limit(tokenizer: &mut Tokenizer, length: usize) -> Result<(), Failure> {
    let cut = TruncationParams { max_length: length, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(cut)).map_err(|e| Failure::weights(e.to_string()))?;
    tokenizer.with_padding(None);
    Ok(())
}

/// The ids of a text, with the marks of start and end that the model wants.
pub fn ids(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, Failure> {
    let coded = tokenizer.encode(text, true).map_err(|e| Failure::model(format!("a text cannot be coded: {e}")))?;
    Ok(coded.get_ids().to_vec())
}

/// Rows of one length: ids `[rows, longest]`, filled up at their ends, and 1 where there is one `[rows, longest]`.
pub fn padded(rows: &[&[u32]], pad: u32, device: &Device) -> Result<(Tensor, Tensor), Failure> {
    let longest = rows.iter().map(|row| row.len()).max().unwrap_or(0).max(1);
    let filled = |row: &&[u32]| {
        let mut row = row.to_vec();
        row.resize(longest, pad);
        row
    };
    let there = |row: &&[u32]| (0..longest).map(|i| u32::from(i < row.len())).collect::<Vec<u32>>();
    let shape = (rows.len(), longest);
    let ids = Tensor::from_vec(rows.iter().flat_map(filled).collect(), shape, device)?;
    let mask = Tensor::from_vec(rows.iter().flat_map(there).collect(), shape, device)?;
    Ok((ids, mask))
}

/// Cuts indices into batches of like lengths, so that little is filled up: at most `rows` rows and `cells` ids a batch.
pub fn batches(lengths: &[usize], rows: usize, cells: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|i| (lengths[*i], *i));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for i in order {
        match batches.last_mut() {
            Some(batch) if batch.len() < rows && (batch.len() + 1) * lengths[i] <= cells => batch.push(i),
            _ => batches.push(vec![i]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_like_lengths_and_every_row_once() {
        assert_eq!(batches(&[3, 1, 2, 9, 1], 2, 100), [vec![1, 4], vec![2, 0], vec![3]]);
        assert_eq!(batches(&[50, 60], 8, 100), [vec![0], vec![1]]);
        assert!(batches(&[], 8, 100).is_empty());
    }

    #[test]
    fn rows_are_filled_up_at_their_ends() {
        let (ids, mask) = padded(&[&[5, 6], &[7]], 0, &Device::Cpu).expect("tensors");
        assert_eq!(ids.to_vec2::<u32>().expect("ids"), [[5, 6], [7, 0]]);
        assert_eq!(mask.to_vec2::<u32>().expect("a mask"), [[1, 1], [1, 0]]);
    }
}
