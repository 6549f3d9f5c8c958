//! Causal attention of sequences that begin alike.

use std::mem::take;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::super::{for_each, in_registers, slice, with_values};
use super::head::Head;
use crate::clip::rows::Rows;

/// What `clip::attention::composed_causal` composes, with gradients for all three: heads are read from and
/// written to the rows they lie in, without copies of the whole.
///
/// # Shapes
/// `key` and `value` `[S + N·l, W]` as [`Rows`] says; `query` the same, or `[N, W]` with the place of each
/// sequence's row in `ends`, counted after the shared ones. Returns the shape of `query`.
pub(crate) fn causal(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    rows: Rows,
    ends: Option<&[usize]>,
    heads: usize,
) -> Result<Tensor> {
    let op = Causal::new(rows, ends, heads, query.dim(1)?);
    query
        .contiguous()?
        .apply_op3(&key.contiguous()?, &value.contiguous()?, op)
}

/// Gradients of query, key and value of [`causal`] without `ends`, given that of the result.
pub(crate) fn causal_back(
    inputs: [&Tensor; 3],
    rows: Rows,
    heads: usize,
    grad: &Tensor,
) -> Result<[Tensor; 3]> {
    Causal::new(rows, None, heads, grad.dim(1)?).back(inputs, grad)
}

/// Queries that follow each other in one sequence.
struct Group {
    queries: usize,
    /// The sequence's first own row, and how many of its rows any of the queries sees.
    start: usize,
    own: usize,
    /// Keys before the first query, the shared ones included.
    first: usize,
}

fn groups(rows: Rows, ends: Option<&[usize]>) -> Vec<Group> {
    let Rows { shared, own, .. } = rows;
    let begin = Group {
        queries: shared,
        start: shared,
        own: 0,
        first: 0,
    };
    let of = |sequence: usize| {
        let (queries, first) = match ends {
            None => (own, 0),
            Some(ends) => (1, ends[sequence]),
        };
        Group {
            queries,
            start: shared + sequence * own,
            own: first + queries,
            first: shared + first,
        }
    };
    let begin = ends.is_none().then_some(begin);
    begin
        .into_iter()
        .chain((0..rows.sequences).map(of))
        .collect()
}

struct Causal {
    groups: Vec<Group>,
    rows: Rows,
    heads: usize,
    width: usize,
}

impl Causal {
    fn new(rows: Rows, ends: Option<&[usize]>, heads: usize, width: usize) -> Self {
        Self {
            groups: groups(rows, ends),
            rows,
            heads,
            width,
        }
    }

    fn head(&self, group: &Group) -> Head {
        Head {
            queries: group.queries,
            keys: self.rows.shared + group.own,
            depth: self.width / self.heads,
            first: Some(group.first),
        }
    }

    /// Columns of head `h` in some rows.
    #[inline(always)]
    fn columns(&self, rows: &[f32], h: usize, head: &mut Vec<f32>) {
        let depth = self.width / self.heads;
        let rows = rows.chunks_exact(self.width);
        rows.for_each(|row| head.extend_from_slice(&row[h * depth..][..depth]));
    }

    /// The same of the rows that a group sees.
    #[inline(always)]
    fn seen(&self, values: &[f32], group: &Group, h: usize) -> Vec<f32> {
        let mut head = Vec::new();
        self.columns(&values[..self.rows.shared * self.width], h, &mut head);
        let own = &values[group.start * self.width..][..group.own * self.width];
        self.columns(own, h, &mut head);
        head
    }

    /// Writes the columns of head `h`.
    #[inline(always)]
    fn put(&self, head: &[f32], h: usize, rows: &mut [f32]) {
        let depth = self.width / self.heads;
        let rows = rows.chunks_exact_mut(self.width);
        for (row, head) in rows.zip(head.chunks_exact(depth)) {
            row[h * depth..][..depth].copy_from_slice(head);
        }
    }

    #[inline(always)]
    fn forward(&self, group: &Group, [query, key, value]: [&[f32]; 3], out: &mut [f32]) {
        let head = self.head(group);
        let mut mixed = vec![0f32; head.queries * head.depth];
        for h in 0..self.heads {
            let mut own = Vec::new();
            self.columns(query, h, &mut own);
            let (key, value) = (self.seen(key, group, h), self.seen(value, group, h));
            head.forward([&own, &key, &value], &mut mixed);
            self.put(&mixed, h, out);
        }
    }

    #[inline(always)]
    fn backward(&self, group: &Group, inputs: [&[f32]; 4], out: Gradients<'_>) {
        let [query, grad, key, value] = inputs;
        let head = self.head(group);
        let mut of = [head.queries, head.keys, head.keys].map(|rows| vec![0f32; rows * head.depth]);
        let shared = self.rows.shared * head.depth;
        for h in 0..self.heads {
            let (mut own, mut own_grad) = (Vec::new(), Vec::new());
            self.columns(query, h, &mut own);
            self.columns(grad, h, &mut own_grad);
            let (key, value) = (self.seen(key, group, h), self.seen(value, group, h));
            let [d_query, d_key, d_value] = &mut of;
            head.backward([&own, &key, &value], &own_grad, [d_query, d_key, d_value]);
            self.put(d_query, h, out.query);
            for (d, (own, common)) in [
                (d_key, (&mut *out.key, &mut *out.shared_key)),
                (d_value, (&mut *out.value, &mut *out.shared_value)),
            ] {
                self.put(&d[..shared], h, common);
                self.put(&d[shared..], h, own);
            }
        }
    }

    /// The rows of each group's queries.
    fn split<'a>(&self, mut rows: &'a mut [f32]) -> Vec<&'a mut [f32]> {
        let own = |group: &Group| {
            let (own, rest) = take(&mut rows).split_at_mut(group.queries * self.width);
            rows = rest;
            own
        };
        self.groups.iter().map(own).collect()
    }

    /// The first row of each group's queries.
    fn starts(&self) -> impl Iterator<Item = (&Group, usize)> {
        self.groups.iter().scan(0, |start, group| {
            let own = *start;
            *start += group.queries;
            Some((group, own))
        })
    }

    /// The own rows of each group's sequence, none of the shared rows' group.
    fn owned<'a>(&self, rows: &'a mut [f32]) -> impl Iterator<Item = &'a mut [f32]> {
        let none = (self.groups.len() > self.rows.sequences).then(Default::default);
        none.into_iter()
            .chain(rows.chunks_exact_mut(self.rows.own * self.width))
    }

    /// Gradients of query, key and value, given that of the result.
    fn back(&self, [query, key, value]: [&Tensor; 3], grad: &Tensor) -> Result<[Tensor; 3]> {
        let all = [query, key, value, &grad.contiguous()?];
        let [d_query, d_key, d_value] = with_values(all, |values| self.gradients(values))?;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok([
            tensor(d_query, query)?,
            tensor(d_key, key)?,
            tensor(d_value, value)?,
        ])
    }

    fn gradients(&self, [query, key, value, grad]: [&[f32]; 4]) -> [Vec<f32>; 3] {
        let mut out = [query, key, value].map(|of| vec![0f32; of.len()]);
        let shared = self.rows.shared * self.width;
        // what the shared rows get from each group, summed in order at the end
        let mut parts = [(); 2].map(|()| vec![0f32; shared * self.groups.len()]);
        let [d_query, d_key, d_value] = &mut out;
        let [of_key, of_value] = &mut parts;
        let tasks = self
            .split(d_query)
            .into_iter()
            .zip(
                self.owned(&mut d_key[shared..])
                    .zip(self.owned(&mut d_value[shared..])),
            )
            .zip(
                of_key
                    .chunks_exact_mut(shared)
                    .zip(of_value.chunks_exact_mut(shared)),
            )
            .zip(self.starts());
        for_each(tasks, |(((d_query, own), common), (group, start))| {
            let out = Gradients {
                query: d_query,
                key: own.0,
                value: own.1,
                shared_key: common.0,
                shared_value: common.1,
            };
            let of =
                |rows: &'_ [f32]| rows[start * self.width..][..group.queries * self.width].to_vec();
            let (query, grad) = (of(query), of(grad));
            backward(self, group, [&query, &grad, key, value], out);
        });
        for (sums, parts) in [(d_key, of_key), (d_value, of_value)] {
            for part in parts.chunks_exact(shared) {
                sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
        }
        out
    }
}

/// Where the gradients of one group go.
struct Gradients<'a> {
    query: &'a mut [f32],
    key: &'a mut [f32],
    value: &'a mut [f32],
    shared_key: &'a mut [f32],
    shared_value: &'a mut [f32],
}

in_registers! {
    fn forward<'a>(op: &'a Causal, group: &'a Group, inputs: [&'a [f32]; 3], out: &'a mut [f32]) {
        op.forward(group, inputs, out);
    }

    fn backward<'a>(
        op: &'a Causal,
        group: &'a Group,
        inputs: [&'a [f32]; 4],
        out: Gradients<'a>,
    ) {
        op.backward(group, inputs, out);
    }
}

impl CustomOp3 for Causal {
    fn name(&self) -> &'static str {
        "causal-attention"
    }

    fn cpu_fwd(
        &self,
        query: &CpuStorage,
        layout: &Layout,
        key: &CpuStorage,
        key_layout: &Layout,
        value: &CpuStorage,
        value_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let query = slice(query, layout)?;
        let (key, value) = (slice(key, key_layout)?, slice(value, value_layout)?);
        let mut out = vec![0f32; query.len()];
        let tasks = self.split(&mut out).into_iter().zip(self.starts());
        for_each(tasks, |(out, (group, start))| {
            let query = &query[start * self.width..][..out.len()];
            forward(self, group, [query, key, value], out);
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        _result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [query, key, value] = self.back([query, key, value], grad)?;
        Ok((Some(query), Some(key), Some(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{assert_same, numbers};
    use super::*;
    use crate::clip::attention::composed_causal;

    #[test]
    fn it_equals_the_plain_one() {
        for (shared, sequences, own, heads, depth) in [
            (1, 1, 1, 1, 1),
            (1, 3, 5, 2, 7),
            (5, 10, 12, 3, 64),
            (4, 2, 33, 1, 20),
        ] {
            let rows = Rows {
                shared,
                sequences,
                own,
            };
            let width = heads * depth;
            let all: [Tensor; 3] =
                [0.0, 1.0, 2.0].map(|seed| numbers(&[shared + sequences * own, width], 1.5, seed));
            let ends: Vec<usize> = (0..sequences).map(|n| (7 * n + own - 1) % own).collect();
            for ends in [None, Some(ends.as_slice())] {
                let mut inputs = all.clone();
                if ends.is_some() {
                    inputs[0] = numbers(&[sequences, width], 1.5, 0.0);
                }
                assert_same(
                    &inputs,
                    |i| causal(&i[0], &i[1], &i[2], rows, ends, heads),
                    |i| composed_causal(&i[0], &i[1], &i[2], rows, ends, heads),
                );
            }
        }
    }
}
