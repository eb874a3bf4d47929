//! Every call of the contract with a canary in every field that takes text or bytes: alone in an otherwise good request, and all
//! at once. What fields there are is read from the contract itself, so that a new one is covered on the day it comes.

use byokd::grpc::rpc::RPCS;
use bytes::Bytes;
use http::uri::PathAndQuery;
use prost::Message;
use prost::encoding::{DecodeContext, WireType};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet, MethodDescriptorProto};
use tonic::{Request, Status};

use crate::permissions::any_call::{Bare, Place};
use crate::site::Client;

/// In every canary. Nothing that is called for its own sake looks like this: no id has capital letters.
pub(crate) const MARK: &str = "CANARY-6F1D93E07B52C8A4";
/// The only fields of an answer that may hold it: what somebody named themselves, or typed and is to recognise.
const GIVEN_BACK: [&str; 3] = ["Workspace.display_name", "App.display_name", "LookedUpDomain.typed"];
/// Messages within messages are followed so far.
const DEEPEST: usize = 4;

/// The contract as it was compiled in.
struct Contract(FileDescriptorSet);

impl Contract {
    fn message(&self, name: &str) -> &DescriptorProto {
        let name = name.trim_start_matches('.');
        let found = self.0.file.iter().find_map(|file| {
            let rest = name.strip_prefix(file.package())?.strip_prefix('.')?;
            let mut parts = rest.split('.');
            let first = parts.next()?;
            let message = file.message_type.iter().find(|message| message.name() == first)?;
            parts.try_fold(message, |message, part| message.nested_type.iter().find(|nested| nested.name() == part))
        });
        found.unwrap_or_else(|| panic!("{name} is not in the contract"))
    }

    /// The request of a call, by the call's path.
    fn request(&self, path: &str) -> &DescriptorProto {
        self.message(self.method(path).input_type())
    }

    /// The answer to a call, by the call's path.
    fn answer(&self, path: &str) -> &DescriptorProto {
        self.message(self.method(path).output_type())
    }

    fn method(&self, path: &str) -> &MethodDescriptorProto {
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap();
        let services = self.0.file.iter().flat_map(|file| {
            file.service.iter().map(move |service| (format!("{}.{}", file.package(), service.name()), service))
        });
        let (_, service) = services.into_iter().find(|(name, _)| name == service).unwrap();
        service.method.iter().find(|known| known.name() == method).unwrap()
    }

    /// The fields of a message that hold the canary, each by the name of its message and its own.
    fn places(&self, message: &DescriptorProto, mut bytes: &[u8], places: &mut Vec<String>) {
        while !bytes.is_empty() {
            let (number, wire) = prost::encoding::decode_key(&mut bytes).unwrap();
            if wire != WireType::LengthDelimited {
                prost::encoding::skip_field(wire, number, &mut bytes, DecodeContext::default()).unwrap();
                continue;
            }
            let length = usize::try_from(prost::encoding::decode_varint(&mut bytes).unwrap()).unwrap();
            let (content, rest) = bytes.split_at(length);
            bytes = rest;
            if !content.windows(MARK.len()).any(|window| window == MARK.as_bytes()) {
                continue;
            }
            let field = message.field.iter().find(|field| u32::try_from(field.number()) == Ok(number)).unwrap();
            match field.r#type() {
                // Well-known types are not in the contract's own files.
                Type::Message if field.type_name().starts_with(".byok.") => {
                    self.places(self.message(field.type_name()), content, places);
                }
                _ => places.push(format!("{}.{}", message.name(), field.name())),
            }
        }
    }

    /// One encoding for each field of text or bytes, however deep, with a canary in that field alone.
    fn each(&self, message: &DescriptorProto, depth: usize, encodings: &mut Vec<Vec<u8>>) {
        for field in &message.field {
            let number = u32::try_from(field.number()).unwrap();
            match field.r#type() {
                Type::String | Type::Bytes => encodings.push(delimited(number, MARK.as_bytes())),
                Type::Message if depth < DEEPEST => {
                    let mut within = Vec::new();
                    self.each(self.message(field.type_name()), depth + 1, &mut within);
                    encodings.extend(within.iter().map(|inner| delimited(number, inner)));
                }
                _ => {}
            }
        }
    }
}

/// A length-delimited field.
fn delimited(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_key(number, WireType::LengthDelimited, &mut out);
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// Makes all of these calls; how many there were, and what was answered with the canary in it.
pub(crate) async fn everywhere(client: &Client, place: &Place) -> (usize, Vec<String>) {
    let contract = Contract(FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).unwrap());
    let (mut calls, mut told) = (0, Vec::new());
    for rpc in RPCS {
        let mut fields = Vec::new();
        contract.each(contract.request(rpc.path), 0, &mut fields);
        let good = place.request(rpc.path);
        // A later field counts over an earlier one: the good request with one thing wrong.
        let mut requests: Vec<Vec<u8>> = fields.iter().map(|field| [&good[..], field].concat()).collect();
        requests.push(fields.concat());
        for request in requests {
            calls += 1;
            match call(client, rpc.path, request.into()).await {
                Ok(answer) => {
                    let mut places = Vec::new();
                    contract.places(contract.answer(rpc.path), &answer.unwrap_or_default(), &mut places);
                    places.retain(|place| !GIVEN_BACK.contains(&place.as_str()));
                    told.extend(places.into_iter().map(|place| format!("{}: {place}", rpc.name())));
                }
                Err(status) => {
                    let details = String::from_utf8_lossy(status.details()).into_owned();
                    if status.message().contains(MARK) || details.contains(MARK) {
                        told.push(format!("{}: {}", rpc.name(), status.message()));
                    }
                }
            }
        }
    }
    (calls, told)
}

/// The first answer of a call, which is given up after a moment: a watch ends never.
async fn call(client: &Client, path: &'static str, request: Bytes) -> Result<Option<Bytes>, Status> {
    let mut grpc = tonic::client::Grpc::new(client.clone());
    grpc.ready().await.unwrap();
    let messages = tokio_stream::once(request);
    let answered = grpc.streaming(Request::new(messages), PathAndQuery::from_static(path), Bare).await?;
    answered.into_inner().message().await
}
