//! Stacks of Java, Kotlin and the other languages of the JVM.

use super::{Frame, is_in, is_number, starts_with};

/// `at com.shop.Cart.add(Cart.java:17)`, `at app//com.shop.Cart.add(Cart.kt)`
pub(super) fn frame(line: &str) -> Option<Frame> {
    let frame = line.trim_start().strip_prefix("at ")?.trim_end();
    let (method, place) = frame.split_once('(')?;
    if !is_place(place) {
        return None;
    }
    // Made at run time, each time with another name.
    if is_in(method, GENERATED) || place.starts_with("<generated>") {
        return Some(Frame::foreign());
    }
    // Class loader and module stand before: `app//`, `java.base@17.0.1/`.
    let method = method.rsplit('/').next().unwrap_or(method).trim();
    let name = without_numbers(method);
    Some(Frame {
        is_foreign: starts_with(method, FOREIGN),
        is_telling: name == method,
        name,
    })
}

/// `Cart.java:17)`, `Native Method)`, `Unknown Source:3)`
fn is_place(place: &str) -> bool {
    let end = place.find(')').unwrap_or(place.len());
    let file = place[..end].split(':').next().unwrap_or(place);
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    matches!(
        file,
        "Native Method" | "Unknown Source" | "SourceFile" | "<generated>"
    ) || matches!(
        extension,
        "java" | "kt" | "kts" | "scala" | "groovy" | "clj" | "gradle"
    )
}

/// Numbers that the compiler gives to what has no name: `Cart$1.run`, `lambda$add$3`, `access$000`.
fn without_numbers(method: &str) -> String {
    if !method.contains('$') {
        return method.to_owned();
    }
    let mut name = String::with_capacity(method.len());
    for (place, part) in method.split('$').enumerate() {
        if place > 0 {
            name.push('$');
        }
        // In `1.run` the class has the number.
        let (number, rest) = part.split_at(part.find('.').unwrap_or(part.len()));
        if place > 0 && is_number(number) {
            name.push('?');
            name.push_str(rest);
        } else {
            name.push_str(part);
        }
    }
    name
}

const GENERATED: &[&str] = &[
    "$$Lambda",
    "$Proxy",
    "$$EnhancerBy",
    "$$FastClassBy",
    "$$SpringCGLIB",
    "$$FastClass",
    "$HibernateProxy",
    "$ByteBuddy",
    "_$$_",
    "GeneratedMethodAccessor",
    "GeneratedConstructorAccessor",
    "LambdaForm$",
];

#[rustfmt::skip]
const FOREIGN: &[&str] = &[
    "java.", "javax.", "jakarta.", "jdk.", "sun.", "com.sun.", "oracle.", "com.oracle.", "kotlin.",
    "kotlinx.", "scala.", "groovy.", "clojure.", "android.", "androidx.", "dalvik.", "libcore.",
    "com.android.", "org.springframework.", "org.apache.", "org.hibernate.", "org.eclipse.",
    "org.jboss.", "org.glassfish.", "org.postgresql.", "org.mariadb.", "org.h2.", "org.jooq.",
    "org.mybatis.", "org.flywaydb.", "org.mongodb.", "org.slf4j.", "org.aspectj.", "org.quartz.",
    "org.codehaus.", "org.gradle.", "org.junit.", "org.mockito.", "org.thymeleaf.", "org.infinispan.",
    "com.mongodb.", "com.mysql.", "com.microsoft.", "com.zaxxer.", "com.fasterxml.", "com.google.",
    "com.amazonaws.", "com.azure.", "com.netflix.", "com.hazelcast.", "com.rabbitmq.", "com.squareup.",
    "com.datastax.", "software.amazon.", "io.netty.", "io.grpc.", "io.undertow.", "io.micronaut.",
    "io.quarkus.", "io.vertx.", "io.ktor.", "io.helidon.", "io.dropwizard.", "io.javalin.",
    "io.lettuce.", "io.r2dbc.", "io.reactivex.", "io.smallrye.", "io.micrometer.",
    "io.github.resilience4j.", "io.opentelemetry.", "io.confluent.", "ch.qos.", "reactor.", "rx.",
    "akka.", "zio.", "cats.", "play.", "feign.", "retrofit2.", "okhttp3.", "okio.", "redis.",
    "liquibase.", "net.sf.", "net.bytebuddy.",
];
