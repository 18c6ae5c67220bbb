//! Texts, or a question and passages -> embeddings, or the passages in order, by an endpoint (`embeddings`, `rerank`).

use super::endpoint::Endpoint;
use super::http::{Body, Reply};
use super::{post, post_for};
use crate::plan::model::{PlanStep, Provider};
use crate::run::engines::batch::Each;
use crate::run::engines::{Args, Call};
use crate::run::fault::{Fault, FaultKind};
use crate::types::Type;
use serde_json::{Value, json};

/// Where embeddings are asked for, behind an address.
const PATH: &str = "embeddings";
/// Texts of one request; providers take 2,048 and fewer.
const MOST_TEXTS: usize = 256;
/// Bytes of the texts of one request: some 200,000 tokens, which the narrowest provider takes.
const MOST_BYTES: usize = 800_000;

/// Embeds the step's list of texts.
pub async fn embeddings(call: &Call<'_>, provider: &Provider, endpoint: &Endpoint) -> Result<Value, Fault> {
    let texts = texts(call)?;
    let mut found = Vec::with_capacity(texts.len());
    for batch in batches(&texts) {
        let request = request(provider, batch);
        let reply = post(call, endpoint, PATH, Body::Json(&request), read(batch)).await.map_err(|r| r.fault)?;
        found.extend(all_of(&reply, placed(&reply, batch.len()))?);
    }
    Ok(Value::Array(found))
}

/// Embeds the texts of several calls in one request, which has room for them: each gets its own vectors, and a text without one is the
/// failure of its call alone.
pub async fn together(calls: &[Call<'_>], provider: &Provider, endpoint: &Endpoint) -> Each {
    if let [call] = calls {
        return Ok(vec![Ok(embeddings(call, provider, endpoint).await?)]);
    }
    let each = calls.iter().map(texts).collect::<Result<Vec<_>, _>>()?;
    let (all, reads): (Vec<String>, Vec<u64>) = (each.concat(), each.iter().map(|texts| read(texts)).collect());
    if all.is_empty() {
        return Ok(calls.iter().map(|_| Ok(json!([]))).collect());
    }
    let request = request(provider, &all);
    let reply = post_for(calls, endpoint, PATH, Body::Json(&request), &reads).await.map_err(|r| r.fault)?;
    let mut found = placed(&reply, all.len()).into_iter();
    let own = |texts: &Vec<String>| all_of(&reply, found.by_ref().take(texts.len()).collect()).map(Value::Array);
    Ok(each.iter().map(own).collect())
}

/// How much of a request a call's texts take: how many they are, and their bytes.
pub fn load(step: &PlanStep, args: &Args) -> (usize, usize) {
    let texts = of(step, args).and_then(Value::as_array).into_iter().flatten();
    texts.fold((0, 0), |(count, bytes), text| (count + 1, bytes + text.as_str().map_or(0, str::len)))
}

/// Whether a request has room for so many texts of so many bytes.
pub fn has_room((texts, bytes): (usize, usize)) -> bool {
    texts <= MOST_TEXTS && bytes <= MOST_BYTES
}

/// The list of texts among the arguments of a step.
fn of<'a>(step: &PlanStep, args: &'a Args) -> Option<&'a Value> {
    let wanted = Type::List(Box::new(Type::Text));
    let params = step.params.iter().filter(|(_, ty)| ty.fits(&wanted));
    params.filter_map(|(name, _)| args.get(name)).next().map(AsRef::as_ref)
}

fn texts(call: &Call<'_>) -> Result<Vec<String>, Fault> {
    let texts = of(call.step, &call.args).ok_or_else(|| Fault::plan("the step has no parameter of type List[Text]"))?;
    // An empty text is an error to providers, and has no meaning to lose.
    let text = |v: &Value| v.as_str().filter(|t| !t.is_empty()).unwrap_or(" ").to_owned();
    Ok(texts.as_array().into_iter().flatten().map(text).collect())
}

fn request(provider: &Provider, texts: &[String]) -> Value {
    json!({"model": provider.model, "input": texts, "encoding_format": "float"})
}

/// The most tokens that texts are: no tokenizer makes more than a token of a byte, and two around a text.
fn read(texts: &[String]) -> u64 {
    texts.iter().map(|text| text.len() as u64 + 2).sum()
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

/// The vectors of a reply by their index, each text's once; null where there is none.
fn placed(reply: &Reply, count: usize) -> Vec<Value> {
    let mut found = vec![Value::Null; count];
    for item in reply.body["data"].as_array().into_iter().flatten() {
        let numbers = item["embedding"].as_array().filter(|n| !n.is_empty() && n.iter().all(Value::is_number));
        let place = item["index"].as_u64().and_then(|i| found.get_mut(usize::try_from(i).ok()?));
        if let (Some(place), Some(numbers)) = (place.filter(|p| p.is_null()), numbers) {
            *place = json!(numbers);
        }
    }
    found
}

/// Vectors, where none is missing.
fn all_of(reply: &Reply, found: Vec<Value>) -> Result<Vec<Value>, Fault> {
    match found.iter().position(Value::is_null) {
        None => Ok(found),
        Some(missing) => Err(unusable(reply, &format!("sent no embedding of text {} of {}", missing + 1, found.len()))),
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
        let good = reply(good);
        assert_eq!(all_of(&good, placed(&good, 2)), Ok(vec![json!([1, 2]), json!([0.5])]));
        let bad = [
            json!({}),
            json!({"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]}),
            json!({"data": [{"index": 0, "embedding": ["x"]}, {"index": 1, "embedding": []}]}),
            json!({"data": [{"index": 9, "embedding": [1]}, {"embedding": [1]}]}),
        ];
        for body in bad {
            let bad = reply(body);
            assert_eq!(all_of(&bad, placed(&bad, 2)).expect_err("unusable").kind, FaultKind::Answer);
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
