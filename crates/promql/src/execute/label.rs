//! `label_replace` and `label_join`.

use nave_model::label::{Labels, METRIC_NAME};
use nave_model::regex::Regex;

use super::{BoxOperator, Column, Operator, Result, Series, note};
use crate::error::QueryError;
use crate::plan::{Kind, Node};

/// `label_replace(v, dst, replacement, src, regex)`.
pub(super) fn replace(input: BoxOperator, args: &[Node]) -> Result<BoxOperator> {
    let [dst, replacement, src, pattern] = texts(args)?;
    let regex = Regex::anchored(&pattern).map_err(|_| {
        QueryError::execution(format!("invalid regular expression in label_replace(): {pattern}"))
    })?;
    let dst = label_name(&dst, "label_replace")?;
    let replace = move |labels: &Labels| {
        let value = regex.replace(labels.get(&src), &replacement)?;
        Some(labels.to_builder().set(&dst.0, &value).build()).map(|labels| (labels, dst.1))
    };
    Ok(Box::new(Relabel { input, change: Box::new(replace) }))
}

/// `label_join(v, dst, separator, src ...)`.
pub(super) fn join(input: BoxOperator, args: &[Node]) -> Result<BoxOperator> {
    let mut all = args.iter().map(text).collect::<Result<Vec<_>>>()?.into_iter();
    let (Some(dst), Some(separator)) = (all.next(), all.next()) else {
        return Err(QueryError::Internal("label_join without its arguments".into()));
    };
    let sources: Vec<String> = all.collect();
    for source in &sources {
        if source.is_empty() {
            return Err(QueryError::execution(format!(
                "invalid source label name in label_join(): {source}"
            )));
        }
    }
    let dst = label_name(&dst, "label_join")?;
    let join = move |labels: &Labels| {
        let values: Vec<&str> = sources.iter().map(|source| labels.get(source)).collect();
        Some((labels.to_builder().set(&dst.0, &values.join(&separator)).build(), dst.1))
    };
    Ok(Box::new(Relabel { input, change: Box::new(join) }))
}

/// A label name that may be set, and whether it is the metric name.
fn label_name(name: &str, function: &str) -> Result<(String, bool)> {
    if name.is_empty() {
        let name = note::quoted(name).trim_matches('"').to_owned();
        return Err(QueryError::execution(format!("invalid destination label name in {function}(): {name}")));
    }
    Ok((name.to_owned(), name == METRIC_NAME))
}

fn text(node: &Node) -> Result<String> {
    match &node.kind {
        Kind::Text(text) => match text.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(QueryError::execution(format!("invalid label text {}", note::quoted_bytes(&text.0)))),
        },
        _ => Err(QueryError::Internal("expected a text as argument".into())),
    }
}

fn texts<const N: usize>(args: &[Node]) -> Result<[String; N]> {
    let texts = args.iter().map(text).collect::<Result<Vec<_>>>()?;
    texts.try_into().map_err(|_| QueryError::Internal(format!("expected {N} texts as arguments")))
}

/// New labels, and whether the metric name was set.
type Change = Box<dyn Fn(&Labels) -> Option<(Labels, bool)> + Send>;

struct Relabel {
    input: BoxOperator,
    change: Change,
}

impl Operator for Relabel {
    fn series(&mut self) -> Result<Vec<Series>> {
        let series = self.input.series()?.into_iter().map(|series| match (self.change)(&series.labels) {
            None => series,
            Some((labels, set_name)) => Series { labels, drop_name: series.drop_name && !set_name },
        });
        Ok(series.collect())
    }

    fn next(&mut self, column: &mut Column) -> Result<()> {
        self.input.next(column)
    }
}
