//! What kind of thing went wrong, by the origin alone.

use crate::{
    domain::Category,
    otlp::{SpanKind, SpanView},
};

use super::{
    attributes::{Attributes, Slot},
    codes::{Codes, Grpc},
    exceptions::short_type,
};

/// What a SERVER's gRPC code says.
const SERVER_GRPC: &[(Grpc, Category)] = &[
    (Grpc::INVALID_ARGUMENT, Category::Validation),
    (Grpc::OUT_OF_RANGE, Category::Validation),
    (Grpc::FAILED_PRECONDITION, Category::Validation),
    (Grpc::UNAUTHENTICATED, Category::Authentication),
    (Grpc::PERMISSION_DENIED, Category::Authorization),
];

/// Short types of exceptions that only databases throw.
#[rustfmt::skip]
const DATABASE_TYPES: &[&str] = &[
    "DatabaseError", "OperationalError", "IntegrityError", "ProgrammingError", "InterfaceError",
    "UniqueViolation", "DBAPIError", "PoolTimeoutError",
    "SQLException", "PSQLException", "SQLTransientConnectionException", "BatchUpdateException",
    "SQLIntegrityConstraintViolationException", "DataIntegrityViolationException",
    "CannotGetJdbcConnectionException", "JDBCException",
    "DeadlockLoserDataAccessException", "BadSqlGrammarException", "JpaSystemException",
    "SqlException", "NpgsqlException", "PostgresException", "MySqlException", "DbUpdateException",
    "MongoError", "MongoServerError", "MongoNetworkError", "MongoException", "PyMongoError",
    "ServerSelectionTimeoutError", "QueryFailedError", "SequelizeDatabaseError",
    "SequelizeConnectionError", "PrismaClientKnownRequestError", "PrismaClientInitializationError",
    "SqliteError", "SQLITE_ERROR", "PgError", "PDOException", "QueryException", "StatementInvalid",
    "RecordNotUnique", "ConnectionNotEstablished", "ReplyError", "RedisError", "JedisException",
    "JedisConnectionException", "DriverException", "PgException",
];

/// Words in a type or message that speak of a connection, DNS, TLS or a time-out.
#[rustfmt::skip]
const NETWORK_WORDS: &[&str] = &[
    "ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "ETIMEDOUT", "ENOTFOUND", "EAI_AGAIN", "EPIPE",
    "EHOSTUNREACH", "ENETUNREACH", "ERR_TLS", "CERT_HAS_EXPIRED", "UNABLE_TO_VERIFY",
    "ConnectException", "ConnectionError", "ConnectError", "ConnectionRefused", "ConnectionReset",
    "ConnectTimeout", "ReadTimeout", "SocketException", "SocketTimeout", "UnknownHostException",
    "NoRouteToHost", "NameResolutionError", "gaierror", "SSLError", "SSLException",
    "SSLHandshakeException", "TimeoutError", "TimeoutException", "DeadlineExceeded",
    "RemoteDisconnected", "ServerDisconnected", "BrokenPipe", "dial tcp", "no such host",
    "i/o timeout", "connection refused", "connection reset", "Connection refused",
    "Connection reset", "deadline exceeded", "socket hang up", "tls: ", "x509: ",
    "certificate verify failed",
];

/// Short types that speak of files.
#[rustfmt::skip]
const FILE_TYPES: &[&str] = &[
    "FileNotFoundError", "FileNotFoundException", "FileExistsError", "NoSuchFileException",
    "FileSystemException", "AccessDeniedException", "DirectoryNotFoundException",
    "FileAlreadyExistsException", "IsADirectoryError", "NotADirectoryError", "PathError",
    "PathTooLongException", "DirectoryNotEmptyException",
];

/// Words in a message that speak of files.
#[rustfmt::skip]
const FILE_WORDS: &[&str] = &[
    "ENOENT", "EACCES", "ENOSPC", "EMFILE", "EROFS", "EISDIR", "No such file or directory",
    "no such file or directory", "No space left on device", "no space left on device",
];

/// Short types that mean a file only when their message names a path.
const FILE_TYPES_ON_A_PATH: &[&str] = &["IOException", "OSError", "IOError", "PermissionError"];

/// Short types that refuse an input.
#[rustfmt::skip]
const VALIDATION_TYPES: &[&str] = &[
    "ValidationError", "ValidationException", "ZodError", "ValidationFailure", "InvalidInput",
    "RequestValidationError", "ConstraintViolationException", "MethodArgumentNotValidException",
    "MethodArgumentTypeMismatchException", "HttpMessageNotReadableException",
    "FormatException", "NumberFormatException", "ParseException",
    "DateTimeParseException", "ParseError", "ParserError", "JSONDecodeError", "JsonException",
    "JsonParseException", "JsonMappingException", "JsonSyntaxException", "MismatchedInputException",
    "InvalidFormatException", "SyntaxError", "UnmarshalTypeError", "NumError",
    "UnicodeDecodeError", "DecodeError", "SchemaError", "BadRequestError", "InvalidArgumentError",
];

/// Short types after which the process can hardly go on.
#[rustfmt::skip]
const CRITICAL_TYPES: &[&str] = &[
    "OutOfMemoryError", "StackOverflowError", "MemoryError", "SystemError",
    "OutOfMemoryException", "StackOverflowException", "NoMemoryError", "SystemStackError",
];

pub(super) fn is_critical(type_name: &str) -> bool {
    CRITICAL_TYPES.contains(&short_type(type_name))
}

/// The category that follows from the origin. `type_name` is its exception's, else `error.type`
/// when that names one.
pub(super) fn own_category(
    span: &SpanView<'_>,
    attributes: &Attributes<'_>,
    codes: Codes<'_>,
    type_name: &str,
    message: &str,
    has_exception: bool,
) -> Category {
    if span.kind == SpanKind::Server
        && let Some((_, category)) = SERVER_GRPC
            .iter()
            .find(|(code, _)| codes.grpc == Some(*code))
    {
        return *category;
    }
    let short = short_type(type_name);
    let speaks_of = |words: &[&str]| {
        words
            .iter()
            .any(|word| type_name.contains(word) || message.contains(word))
    };
    if attributes.is_database(span.kind) || DATABASE_TYPES.contains(&short) {
        return Category::Database;
    }
    if speaks_of(NETWORK_WORDS) {
        return Category::Network;
    }
    let is_call = attributes.has(Slot::HttpMethod)
        || attributes.has(Slot::HttpStatus)
        || attributes.is_rpc()
        || attributes.is_gen_ai();
    if span.kind == SpanKind::Client && is_call {
        return Category::ExternalApi;
    }
    if FILE_TYPES.contains(&short)
        || speaks_of(FILE_WORDS)
        || (FILE_TYPES_ON_A_PATH.contains(&short) && names_a_path(message))
    {
        return Category::FileSystem;
    }
    if VALIDATION_TYPES.contains(&short) {
        return Category::Validation;
    }
    if has_exception || is_exception_type(type_name) {
        return Category::Application;
    }
    Category::Unknown
}

fn names_a_path(message: &str) -> bool {
    message
        .split(|letter: char| letter.is_whitespace() || "'\"`(:".contains(letter))
        .any(|word| word.starts_with('/') || word.contains(":\\") || word.contains("\\\\"))
}

/// Whether an `error.type` names an exception, not a status code.
fn is_exception_type(error_type: &str) -> bool {
    !error_type.is_empty()
        && error_type != "_OTHER"
        && !error_type.bytes().all(|byte| byte.is_ascii_digit())
        && Grpc::parse(error_type).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::{Attribute, Value};

    type Pairs = &'static [(&'static str, &'static str)];

    #[test]
    fn the_first_rule_that_matches_says_the_category() {
        use Category::{
            Application, Authorization, Database, ExternalApi, FileSystem, Network, Unknown,
            Validation,
        };
        use SpanKind::{Client, Internal, Server};
        #[rustfmt::skip]
        let cases: &[(SpanKind, Pairs, &str, &str, Category)] = &[
            (Server, &[("rpc.status_code", "FAILED_PRECONDITION")], "", "x", Validation),
            (Server, &[("rpc.grpc.status_code", "7")], "ValueError", "x", Authorization),
            (Client, &[("db.system", "postgresql")], "ConnectionError", "connection refused", Database),
            (Client, &[("db.statement", "SELECT 1")], "", "refused", Database),
            (Server, &[("db.statement", "SELECT 1")], "shop.CartError", "x", Application),
            (Client, &[("gen_ai.request.model", "gpt")], "RateLimitError", "slow down", ExternalApi),
            (Client, &[("rpc.jsonrpc.error_code", "-32603")], "", "broken", ExternalApi),
            (Internal, &[], "sqlalchemy.exc.OperationalError", "x", Database),
            (Client, &[("http.request.method", "GET")], "", "HTTP 503", ExternalApi),
            (Client, &[("http.request.method", "GET")], "requests.exceptions.ConnectionError", "x", Network),
            (Client, &[("gen_ai.system", "openai")], "RateLimitError", "slow down", ExternalApi),
            (Internal, &[], "*net.OpError", "dial tcp 10.0.0.1:80: i/o timeout", Network),
            (Internal, &[], "FileNotFoundError", "x", FileSystem),
            (Internal, &[], "java.io.IOException", "cannot read /var/data", FileSystem),
            (Internal, &[], "java.io.IOException", "stream closed", Application),
            (Internal, &[], "pydantic.ValidationError", "x", Validation),
            (Internal, &[], "KeyError", "'id'", Application),
            (Server, &[], "", "HTTP 500", Unknown),
            (Server, &[], "500", "HTTP 500", Unknown),
            (Internal, &[], "com.shop.CartException", "x", Application),
        ];
        for (kind, attributes, type_name, message, category) in cases {
            let attributes: Vec<_> = attributes
                .iter()
                .map(|(key, value)| Attribute {
                    key: key.as_bytes(),
                    value: Value::Str(value.as_bytes()),
                })
                .collect();
            let attributes = Attributes::new(&attributes);
            let span = SpanView {
                kind: *kind,
                ..SpanView::default()
            };
            let found = own_category(
                &span,
                &attributes,
                Codes::new(&attributes),
                type_name,
                message,
                false,
            );
            assert_eq!(found, *category, "{type_name} {message}");
        }
    }

    #[test]
    fn running_out_of_memory_is_critical() {
        assert!(is_critical("java.lang.OutOfMemoryError"));
        assert!(!is_critical("java.lang.Error"));
    }
}
