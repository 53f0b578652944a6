//! Stacks of .NET.

use super::{Frame, starts_with};

/// `at Shop.Cart.Add(Int32 id) in /src/Cart.cs:line 17`
pub(super) fn frame(line: &str) -> Option<Frame> {
    let frame = line.trim_start().strip_prefix("at ")?.trim_end();
    let method = frame.split_once('(')?.0.trim();
    if !frame.contains(')') || method.contains(' ') || !method.contains('.') {
        return None;
    }
    // `Repository.Get[T]`
    let method = method.split('[').next().unwrap_or(method);
    let name = Name::of(method);
    Some(Frame {
        is_foreign: starts_with(method, FOREIGN),
        is_telling: !name.is_anonymous,
        name: name.text,
    })
}

/// ` ---> System.ArgumentException: …`, `---> (Inner Exception #0) System.…`
pub(super) fn cause(line: &str) -> Option<&str> {
    let cause = line.trim_start().strip_prefix("---> ")?;
    match cause.strip_prefix("(Inner Exception #") {
        Some(numbered) => numbered.split_once(") ").map(|(_, cause)| cause),
        None => Some(cause),
    }
}

/// The frames of what was caused follow.
pub(super) fn ends_cause(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("--- End of inner exception stack trace ---") || line == "<---"
}

/// A method without what the compiler makes of it: `Cart.<AddAsync>d__5.MoveNext` is
/// `Cart.AddAsync`, `Cart.<Add>g__Check|0_3` is `Cart.Add.Check`, and the lambda
/// `Cart.<>c__DisplayClass3_0.<Add>b__1` is `Cart.Add.(lambda)`, which says little.
struct Name {
    text: String,
    is_anonymous: bool,
}

impl Name {
    fn of(method: &str) -> Self {
        let mut is_anonymous = false;
        let mut parts: Vec<String> = Vec::new();
        for part in method.split('.') {
            if part.starts_with("<>c") || (part == "MoveNext" && method.contains(">d")) {
                continue;
            }
            if !part.starts_with('<') || part.ends_with('$') {
                parts.push(part.to_owned());
                continue;
            }
            // Also `<<Main>b__0_1>d` and `<<Main>$>b__0_0`.
            let end = part.rfind('>').unwrap_or(part.len());
            let inner = part[..end].trim_start_matches('<');
            let (method, rest) = inner.split_once('>').unwrap_or((inner, ""));
            let is_lambda = |text: &str| text.starts_with("b__");
            parts.push(method.to_owned());
            let marks = [rest, part.get(end + 1..).unwrap_or("")];
            for mark in marks {
                if let Some((local, _)) = mark.strip_prefix("g__").and_then(|it| it.split_once('|'))
                {
                    parts.push(local.to_owned());
                } else if is_lambda(mark) {
                    is_anonymous = true;
                    parts.push("(lambda)".to_owned());
                }
            }
        }
        Self {
            text: parts.join("."),
            is_anonymous,
        }
    }
}

#[rustfmt::skip]
const FOREIGN: &[&str] = &[
    "System.", "Microsoft.", "Interop.", "Internal.", "Npgsql.", "Newtonsoft.", "MySql.",
    "MySqlConnector.", "Pomelo.", "Oracle.", "MongoDB.", "StackExchange.", "Grpc.", "Google.",
    "Amazon.", "Azure.", "Elastic.", "Confluent.", "RabbitMQ.", "MassTransit.", "Dapper.", "Polly.",
    "Refit.", "RestSharp.", "MediatR.", "AutoMapper.", "FluentValidation.", "Hangfire.", "Quartz.",
    "Orleans.", "HotChocolate.", "GraphQL.", "Swashbuckle.", "Castle.", "Autofac.", "Serilog.",
    "NLog.", "OpenTelemetry.", "Xunit.", "NUnit.", "FSharp.", "lambda_method", "DynamicClass.",
];
