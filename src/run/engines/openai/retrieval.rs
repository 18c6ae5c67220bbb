//! Texts, or a question and passages -> embeddings, or the passages in order, by an endpoint (`embeddings`, `rerank`).

use super::http::{Body, Endpoint, Reply};
use super::post;
use crate::plan::model::Provider;
use crate::run::engines::Call;
use crate::run::fault::{Fault, FaultKind};
use crate::types::Type;
use serde_json::{Value, json};

/// Texts of one request; providers take 2,048 and fewer.
const MOST_TEXTS: usize = 256;
/// Bytes of the texts of one request: some 200,000 tokens, which the narrowest provider takes.
const MOST_BYTES: usize = 800_000;

/// Embeds the step's list of texts.
pub async fn embeddings(call: &Call<'_>, provider: &Provider, endpoint: &Endpoint) -> Result<Value, Fault> {
    let wanted = Type::List(Box::new(Type::Text));
    let mut lists = call.step.params.iter().filter(|(_, ty)| ty.fits(&wanted)).filter_map(|(n, _)| call.args.get(n));
    let texts = lists.next().ok_or_else(|| Fault::plan("the step has no parameter of type List[Text]"))?;
    // An empty text is an error to providers, and has no meaning to lose.
    let text = |v: &Value| v.as_str().filter(|t| !t.is_empty()).unwrap_or(" ").to_owned();
    let texts: Vec<String> = texts.as_array().into_iter().flatten().map(text).collect();
    let mut found = Vec::with_capacity(texts.len());
    for batch in batches(&texts) {
        let body = json!({"model": provider.model, "input": batch, "encoding_format": "float"});
        // No tokenizer makes more than a token of a byte, and two around a text.
        let most = batch.iter().map(|text| text.len() as u64 + 2).sum();
        let reply = post(call, endpoint, "embeddings", Body::Json(&body), most).await.map_err(|r| r.fault)?;
        found.extend(vectors(&reply, batch.len())?);
    }
    Ok(Value::Array(found))
}

/// Puts the step's passages in order by its question.
pub async fn rerank(call: &Call<'_>, endpoint: &Endpoint, model: &str) -> Result<Value, Fault> {
    let of = |good: fn(&Type) -> bool| {
        call.step.params.iter().filter(move |(_, ty)| good(ty)).find_map(|(n, _)| call.args.get(n))
    };
    let (Some(question), Some(passages)) = (of(|ty| *ty == Type::Text), of(|ty| matches!(ty, Type::List(_)))) else {
        return Err(Fault::plan("the step has no question and no list of passages"));
    };
    let passages = passages.as_array().map_or(&[][..], Vec::as_slice);
    if passages.is_empty() {
        return Ok(json!([]));
    }
    let documents: Vec<&str> = passages.iter().map(|p| p["text"].as_str().unwrap_or_default()).collect();
    let body = json!({"model": model, "query": question.as_ref(), "documents": documents, "top_n": documents.len()});
    let read: usize = documents.iter().map(|d| d.len() + question.as_str().map_or(0, str::len) + 8).sum();
    let reply = post(call, endpoint, "rerank", Body::Json(&body), read as u64).await.map_err(|r| r.fault)?;
    ordered(&reply, passages)
}

/// Consecutive texts that one request takes; a text that is too long goes by itself, for the provider to refuse.
fn batches(texts: &[String]) -> Vec<&[String]> {
    let mut found = Vec::new();
    let mut from = 0;
    let mut bytes = 0;
    for (i, text) in texts.iter().enumerate() {
        if i > from && (i - from == MOST_TEXTS || bytes + text.len() > MOST_BYTES) {
            found.push(&texts[from..i]);
            (from, bytes) = (i, 0);
        }
        bytes += text.len();
    }
    if from < texts.len() {
        found.push(&texts[from..]);
    }
    found
}

/// The vectors of a reply by their index, each text's once.
fn vectors(reply: &Reply, count: usize) -> Result<Vec<Value>, Fault> {
    let mut found = vec![Value::Null; count];
    for item in reply.body["data"].as_array().into_iter().flatten() {
        let numbers = item["embedding"].as_array().filter(|n| !n.is_empty() && n.iter().all(Value::is_number));
        let place = item["index"].as_u64().and_then(|i| found.get_mut(usize::try_from(i).ok()?));
        if let (Some(place), Some(numbers)) = (place.filter(|p| p.is_null()), numbers) {
            *place = json!(numbers);
        }
    }
    match found.iter().position(Value::is_null) {
        None => Ok(found),
        Some(missing) => Err(unusable(reply, &format!("sent no embedding of text {} of {count}", missing + 1))),
    }
}

/// All passages, the ones that the reply names first in its order of scores; what it does not name comes behind, as it stood.
fn ordered(reply: &Reply, passages: &[Value]) -> Result<Value, Fault> {
    let results = reply.body["results"].as_array().ok_or_else(|| unusable(reply, "sent no results"))?;
    let mut scores: Vec<Option<f64>> = vec![None; passages.len()];
    for result in results {
        let place = result["index"].as_u64().and_then(|i| scores.get_mut(usize::try_from(i).ok()?));
        match (place, result["relevance_score"].as_f64().or(result["score"].as_f64())) {
            (Some(place), Some(score)) if place.is_none() => *place = Some(score),
            _ => return Err(unusable(reply, "named a passage twice, one that is not there, or none with a score")),
        }
    }
    let mut order: Vec<usize> = (0..passages.len()).collect();
    let rank = |i: &usize| scores[*i].unwrap_or(f64::NEG_INFINITY);
    order.sort_by(|a, b| rank(b).total_cmp(&rank(a)).then(a.cmp(b)));
    let scored = |i: usize| {
        let mut passage = passages[i].clone();
        passage["score"] = json!(scores[i].unwrap_or(0.0));
        passage
    };
    Ok(order.into_iter().map(scored).collect())
}

fn unusable(reply: &Reply, what: &str) -> Fault {
    Fault::new(FaultKind::Answer, format!("{} {what}", reply.origin)).transient()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: Value) -> Reply {
        Reply { body, origin: "the provider".into() }
    }

    #[test]
    fn vectors_stand_where_their_index_says() {
        let good = json!({"data": [{"index": 1, "embedding": [0.5]}, {"index": 0, "embedding": [1, 2]}]});
        assert_eq!(vectors(&reply(good), 2), Ok(vec![json!([1, 2]), json!([0.5])]));
        let bad = [
            json!({}),
            json!({"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]}),
            json!({"data": [{"index": 0, "embedding": ["x"]}, {"index": 1, "embedding": []}]}),
            json!({"data": [{"index": 9, "embedding": [1]}, {"embedding": [1]}]}),
        ];
        for body in bad {
            assert_eq!(vectors(&reply(body), 2).expect_err("unusable").kind, FaultKind::Answer);
        }
    }

    #[test]
    fn passages_in_the_order_of_their_scores() {
        let passages = ["a", "b", "c"].map(|t| json!({"source": "1", "text": t, "score": 0.0}));
        let body = json!({"results": [{"index": 2, "relevance_score": 0.2}, {"index": 1, "relevance_score": 0.9}]});
        let found = ordered(&reply(body), &passages).expect("passages");
        let shown: Vec<_> =
            found.as_array().into_iter().flatten().map(|p| (p["text"].clone(), p["score"].clone())).collect();
        assert_eq!(shown, [(json!("b"), json!(0.9)), (json!("c"), json!(0.2)), (json!("a"), json!(0.0))]);
        for bad in
            [json!({}), json!({"results": [{"index": 7, "relevance_score": 1}]}), json!({"results": [{"index": 0}]})]
        {
            assert!(ordered(&reply(bad), &passages).is_err());
        }
    }

    #[test]
    fn requests_stay_within_what_a_provider_takes() {
        let sizes = |texts: &[String]| batches(texts).iter().map(|b| b.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&vec!["a".to_owned(); 600]), [256, 256, 88]);
        assert_eq!(sizes(&["x".repeat(500_000), "y".repeat(500_000), "z".into()]), [1, 2]);
        assert_eq!(sizes(&["x".repeat(900_000)]), [1]);
        assert_eq!(sizes(&[]), [0_usize; 0]);
    }
}
