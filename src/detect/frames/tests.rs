use super::*;

/// The frames of the whole chain, with the types of causes.
fn lines(stack: &str) -> Vec<String> {
    let stack = Stack::read(stack);
    let links = stack.chain.into_iter().enumerate();
    links
        .flat_map(|(place, link)| {
            let cause = (place > 0).then(|| format!("< {}", link.type_name));
            cause.into_iter().chain(link.frames)
        })
        .collect()
}

#[test]
fn frames_of_the_application_are_found_in_each_language() {
    #[rustfmt::skip]
    let cases: &[(&str, &[&str])] = &[
        ("Traceback (most recent call last):\n  File \"/app/shop/cart.py\", line 17, in add\n    x()\n  File \"/usr/lib/python3.12/json/decoder.py\", line 3, in decode\nValueError: x", &["shop/cart.py add"]),
        ("java.lang.IllegalStateException: x\n\tat com.shop.Cart.add(Cart.java:17)\n\tat java.base/java.lang.Thread.run(Thread.java:1583)\n\tat app//com.shop.Main.main(Main.kt:3)\n\t... 3 more", &["com.shop.Cart.add", "com.shop.Main.main"]),
        ("Error: x\n    at Cart.add (/app/src/cart.js:17:3)\n    at async /app/src/main.js:5:1\n    at Layer.handle (/app/node_modules/express/lib/layer.js:95:5)\n    at process.processTicks (node:internal/process/task_queues:95:5)", &["src/cart.js Cart.add", "src/main.js"]),
        ("System.Exception: x\n   at Shop.Cart.Add(Int32 id) in /src/Cart.cs:line 17\n   at System.Threading.Tasks.Task.Wait()", &["Shop.Cart.Add"]),
        ("goroutine 1 [running]:\nruntime/debug.Stack()\n\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e\nmain.(*Cart).Add(0xc0000)\n\t/src/cart.go:17 +0x1d\n\ngoroutine 2 [select]:\nmain.wait()\n\t/src/wait.go:3\n", &["main.(*Cart).Add"]),
        ("#0 /app/src/Cart.php(17): Shop\\Cart->add(1)\n#1 /app/vendor/x/y.php(3): z()\n#2 {main}", &["src/Cart.php Shop\\Cart->add"]),
        ("app/models/cart.rb:17:in `add'\n/usr/lib/gems/x/y.rb:3:in 'z'", &["models/cart.rb add"]),
        ("   0: shop::cart::add::h0123456789abcdef\n             at ./src/cart.rs:17:5\n   1: core::ops::call\n             at /rustc/0/library/core/src/ops.rs:1:1\n", &["shop::cart::add"]),
        ("add@https://shop.example/js/cart.js:17:3\nmap@[native code]", &["js/cart.js add"]),
        ("something else\nentirely", &[]),
    ];
    for (stack, frames) in cases {
        assert_eq!(lines(stack), *frames, "{stack}");
    }
}

#[test]
fn recursion_counts_once_and_long_stacks_end() {
    let stack = "at f (/a/b/c.js:1:1)\nat g (/a/b/c.js:2:1)\n".repeat(1000);
    assert_eq!(lines(&stack), ["b/c.js f", "b/c.js g"]);
    let many: Vec<_> = (0..1000)
        .map(|number| format!("at f{number} (/a/b.js:1:1)"))
        .collect();
    assert_eq!(lines(&many.join("\n")).len(), MAX_FRAMES);
}

#[test]
fn causes_follow_what_they_caused_in_every_language() {
    for (stack, chain) in [
        (
            "com.shop.Failed: a\n\tat com.shop.A.a(A.java:1)\n\tSuppressed: com.shop.Closing: s\n\t\tat \
             com.shop.S.s(S.java:1)\n\tCaused by: com.shop.Inner: t\n\t\tat com.shop.T.t(T.java:1)\n\
             Caused by: com.shop.Cause: b\n\tat com.shop.B.b(B.java:2)\n\t... 1 more",
            vec!["com.shop.A.a", "< com.shop.Cause", "com.shop.B.b"],
        ),
        (
            "Traceback (most recent call last):\n  File \"/app/a.py\", line 1, in inner\n    raise\n\
             shop.Cause: text\nValueError: not the type\n\nDuring handling of the above exception, \
             another exception occurred:\n\nTraceback (most recent call last):\n  File \"/app/a.py\", \
             line 9, in outer\nRuntimeError: x",
            vec!["a.py outer", "< shop.Cause", "a.py inner"],
        ),
        (
            "A: x\n ---> B: y\n ---> C: z\n   at Shop.C.C(Int32 c)\n   --- End of inner exception \
             stack trace ---\n   at Shop.B.B()\n   --- End of inner exception stack trace ---\n   at \
             Shop.A.A()",
            vec!["Shop.A.A", "< B", "Shop.B.B", "< C", "Shop.C.C"],
        ),
        (
            "Error: x\n    at wrap (/app/a.js:1:1) {\n  [cause]: TypeError: y\n      at add \
             (/app/b.js:1:1)\n}",
            vec!["a.js wrap", "< TypeError", "b.js add"],
        ),
    ] {
        assert_eq!(lines(stack), chain, "{stack}");
    }
}

#[test]
fn names_without_meaning_are_no_telling_ones() {
    for (stack, is_telling) in [
        ("at add (/app/a.js:1:1)", true),
        ("at /app/a.js:1:1\nat add (/app/a.js:1:1)", false),
        ("at Layer.handle [as x] (/app/a.js:1:1)", false),
        ("add/<@https://shop/a.js:1:1", false),
        ("main.main.func2()\n\t/src/a.go:1", false),
        ("main.main()\n\t/src/a.go:1", true),
        ("\tat com.shop.A.lambda$main$0(A.java:1)", false),
        ("\tat com.shop.A.add(A.java:1)", true),
        ("   at Shop.P.<>c.<Main>b__0_1(HttpContext c)", false),
        ("   at Shop.P.<AddAsync>d__1.MoveNext()", true),
    ] {
        assert_eq!(Stack::read(stack).is_telling(), is_telling, "{stack}");
    }
}
