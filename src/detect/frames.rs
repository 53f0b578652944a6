//! The frames of a stack that are the application's own, without line numbers, for the languages
//! whose stacks can be recognised.

/// Deep recursion tells nothing new.
pub(super) const MAX_FRAMES: usize = 64;

/// One frame: what runs, and whether it is a library's or the language's.
struct Frame {
    name: String,
    is_foreign: bool,
}

/// The names of the application's own frames, in the stack's order; the same one after itself
/// counts once. Empty when the stack has none, or is of no known language.
pub(super) fn in_app(stack: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut lines = stack.lines().peekable();
    while let Some(line) = lines.next() {
        let frame = python(line)
            .or_else(|| after_at(line))
            .or_else(|| go(line, lines.peek().copied()))
            .or_else(|| php(line))
            .or_else(|| ruby(line));
        if let Some(frame) = frame
            && !frame.is_foreign
            && names.last() != Some(&frame.name)
        {
            names.push(frame.name);
            if names.len() == MAX_FRAMES {
                break;
            }
        }
    }
    names
}

/// `  File "/app/shop/cart.py", line 17, in add`
fn python(line: &str) -> Option<Frame> {
    let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once('"')?;
    let function = rest
        .rsplit_once(", in ")
        .map_or("", |(_, function)| function);
    Some(Frame {
        name: format!("{} {}", tail(file), function.trim()),
        is_foreign: is_in(file, PYTHON_FOREIGN),
    })
}

/// `at a.b.C.m(C.java:17)`, `at add (/app/cart.js:17:3)`, `at Shop.Cart.Add(Int32 id) in Cart.cs:line 17`
fn after_at(line: &str) -> Option<Frame> {
    let frame = line.trim_start().strip_prefix("at ")?.trim_end();
    match frame.rsplit_once('(') {
        Some((_, place)) if is_java_place(place.trim_end_matches(')')) => {
            let method = frame.split('(').next().unwrap_or(frame);
            // app//a.b.C.m and java.base/java.lang.C.m name class loader and module first.
            let method = method.rsplit('/').next().unwrap_or(method);
            Some(Frame {
                name: method.to_owned(),
                is_foreign: starts_with(method, JAVA_FOREIGN),
            })
        }
        Some((function, place)) if is_script_place(place.trim_end_matches(')')) => {
            Some(script(function.trim(), place))
        }
        Some((_, arguments)) if arguments.contains(')') => {
            let method = frame.split('(').next().unwrap_or(frame).trim();
            Some(Frame {
                name: method.to_owned(),
                is_foreign: starts_with(method, DOTNET_FOREIGN),
            })
        }
        _ if is_script_place(frame) => Some(script("", frame)),
        _ => None,
    }
}

fn script(function: &str, place: &str) -> Frame {
    let function = function.trim_start_matches("async ");
    let file = place.rsplitn(3, ':').last().unwrap_or(place);
    Frame {
        name: format!("{} {function}", tail(file)),
        is_foreign: is_in(place, SCRIPT_FOREIGN),
    }
}

/// `Cart.java:17`, `Native Method`, `Unknown Source`
fn is_java_place(place: &str) -> bool {
    let file = place.split(':').next().unwrap_or(place);
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    matches!(place, "Native Method" | "Unknown Source" | "<generated>")
        || matches!(extension, "java" | "kt" | "scala" | "groovy" | "clj")
}

/// `…:17:3`, `native`, `<anonymous>`
fn is_script_place(place: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = place.rsplitn(3, ':');
    let (column, line) = (parts.next(), parts.next());
    (column.is_some_and(is_number) && line.is_some_and(is_number) && parts.next().is_some())
        || matches!(place, "native" | "<anonymous>" | "index 0")
}

/// `main.(*Cart).Add(0xc000010000)`, and on the next line, after a tab, `/src/cart.go:17 +0x1d`
fn go(line: &str, next: Option<&str>) -> Option<Frame> {
    let file = next?.strip_prefix('\t')?;
    let file = &file[..file.find(".go:")? + 3];
    let function = match line.rfind('(') {
        Some(arguments) if line.ends_with(')') || line.ends_with("...)") => &line[..arguments],
        _ => line,
    };
    let function = function.strip_prefix("created by ").unwrap_or(function);
    Some(Frame {
        name: function.trim().to_owned(),
        is_foreign: is_in(file, GO_FOREIGN) || starts_with(function, GO_FOREIGN_PACKAGES),
    })
}

/// `#0 /app/src/Cart.php(17): Shop\Cart->add()`
fn php(line: &str) -> Option<Frame> {
    let frame = line.trim_start().strip_prefix('#')?;
    let (number, frame) = frame.split_once(' ')?;
    number.parse::<u32>().ok()?;
    let (place, function) = frame.split_once(": ")?;
    let file = place.split('(').next().unwrap_or(place);
    let function = function.split('(').next().unwrap_or(function);
    Some(Frame {
        name: format!("{} {function}", tail(file)),
        is_foreign: file.contains("/vendor/") || file.starts_with("[internal"),
    })
}

/// ``/app/cart.rb:17:in `add'``, `app/cart.rb:17:in 'Cart#add'`
fn ruby(line: &str) -> Option<Frame> {
    let (place, function) = line.trim().split_once(":in ")?;
    let (file, number) = place.rsplit_once(':')?;
    number.parse::<u32>().ok()?;
    Some(Frame {
        name: format!("{} {}", tail(file), function.trim_matches(['`', '\''])),
        is_foreign: is_in(file, RUBY_FOREIGN),
    })
}

/// The last two parts of a path: what stands before differs from machine to machine.
fn tail(path: &str) -> &str {
    let is_separator = |letter| letter == '/' || letter == '\\';
    path.rmatch_indices(is_separator)
        .nth(1)
        .map_or(path, |(separator, _)| &path[separator + 1..])
}

fn is_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path.contains(place))
}

fn starts_with(name: &str, packages: &[&str]) -> bool {
    packages.iter().any(|package| name.starts_with(package))
}

const PYTHON_FOREIGN: &[&str] = &[
    "site-packages",
    "dist-packages",
    "/lib/python",
    "\\lib\\",
    "<frozen",
    "<string>",
];

#[rustfmt::skip]
const JAVA_FOREIGN: &[&str] = &[
    "java.", "javax.", "jakarta.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.", "scala.",
    "groovy.", "clojure.", "org.springframework.", "org.apache.", "org.hibernate.", "org.eclipse.",
    "org.jboss.", "org.postgresql.", "com.mysql.", "com.zaxxer.", "com.fasterxml.", "com.google.",
    "io.netty.", "io.grpc.", "io.undertow.", "io.micronaut.", "io.quarkus.", "io.vertx.",
    "io.opentelemetry.", "reactor.", "akka.", "okhttp3.", "redis.", "org.junit.",
];

#[rustfmt::skip]
const DOTNET_FOREIGN: &[&str] = &[
    "System.", "Microsoft.", "Npgsql.", "Newtonsoft.", "MySql.", "StackExchange.", "Grpc.",
    "Polly.", "OpenTelemetry.", "lambda_method",
];

const SCRIPT_FOREIGN: &[&str] = &[
    "node_modules",
    "node:",
    "internal/",
    "native",
    "<anonymous>",
    "index 0",
    "webpack/runtime",
];

const GO_FOREIGN: &[&str] = &["/go/src/", "/pkg/mod/", "/vendor/", "/libexec/src/"];

const GO_FOREIGN_PACKAGES: &[&str] = &["runtime.", "runtime/debug.", "net/http.", "panic("];

const RUBY_FOREIGN: &[&str] = &["/gems/", "/lib/ruby/", "<internal:"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_application_are_found_in_each_language() {
        #[rustfmt::skip]
        let cases: &[(&str, &[&str])] = &[
            ("Traceback:\n  File \"/app/shop/cart.py\", line 17, in add\n    x()\n  File \"/usr/lib/python3.12/json/decoder.py\", line 3, in decode\nValueError: x", &["shop/cart.py add"]),
            ("java.lang.IllegalStateException: x\n\tat com.shop.Cart.add(Cart.java:17)\n\tat java.base/java.lang.Thread.run(Thread.java:1583)\n\tat app//com.shop.Main.main(Main.kt:3)\n\t... 3 more", &["com.shop.Cart.add", "com.shop.Main.main"]),
            ("Error: x\n    at Cart.add (/app/src/cart.js:17:3)\n    at async /app/src/main.js:5:1\n    at Layer.handle (/app/node_modules/express/lib/layer.js:95:5)\n    at process.processTicks (node:internal/process/task_queues:95:5)", &["src/cart.js Cart.add", "src/main.js "]),
            ("System.Exception: x\n   at Shop.Cart.Add(Int32 id) in /src/Cart.cs:line 17\n   at System.Threading.Tasks.Task.Wait()", &["Shop.Cart.Add"]),
            ("goroutine 1 [running]:\nruntime/debug.Stack()\n\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e\nmain.(*Cart).Add(0xc0000)\n\t/src/cart.go:17 +0x1d\n", &["main.(*Cart).Add"]),
            ("#0 /app/src/Cart.php(17): Shop\\Cart->add(1)\n#1 /app/vendor/x/y.php(3): z()\n#2 {main}", &["src/Cart.php Shop\\Cart->add"]),
            ("app/models/cart.rb:17:in `add'\n/usr/lib/gems/x/y.rb:3:in 'z'", &["models/cart.rb add"]),
            ("something else\nentirely", &[]),
        ];
        for (stack, frames) in cases {
            assert_eq!(in_app(stack), *frames, "{stack}");
        }
    }

    #[test]
    fn recursion_counts_once_and_long_stacks_end() {
        let stack = "at f (/a/b.js:1:1)\n".repeat(1000);
        assert_eq!(in_app(&stack), ["a/b.js f"]);
        let lines: Vec<_> = (0..1000)
            .map(|number| format!("at f{number} (/a/b.js:1:1)"))
            .collect();
        assert_eq!(in_app(&lines.join("\n")).len(), MAX_FRAMES);
    }
}
