import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Map;
import java.util.concurrent.Executors;

/**
 * A small shop on the JDK's HTTP server under the OpenTelemetry agent. Each route fails in one way;
 * the order's number follows it.
 *
 * <p>UPSTREAM_URL is a payment service that answers 500 to everything, CLOSED_URL an address where
 * nobody listens. The shop listens on any free port and prints it.
 */
public final class Shop {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();
    private static final Tracer TRACER = GlobalOpenTelemetry.getTracer("shop");

    /** Somebody else holds the order. */
    private static final class LockException extends Exception {
        LockException(String order) {
            super("order " + order + " is locked");
        }
    }

    /** What to do with an order; gives the status to answer with. */
    private interface Route {
        int serve(String order) throws IOException;
    }

    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        Map<String, Route> routes =
                Map.of(
                        "/orders", order -> 200,
                        "/crash", Shop::crash,
                        "/unavailable", order -> 503,
                        "/pay", Shop::pay,
                        "/payment", Shop::payment,
                        "/shipping", Shop::shipping,
                        "/tracking", Shop::tracking,
                        "/reserve", Shop::reserve,
                        "/coupon", Shop::coupon,
                        "/quantity", Shop::quantity);
        routes.forEach((path, route) -> server.createContext(path, handler(path, route)));
        server.start();
        System.out.println(server.getAddress().getPort());
    }

    /** What leaves the route leaves the handler: the server closes the connection without an answer. */
    private static HttpHandler handler(String path, Route route) {
        return exchange -> {
            Span.current()
                    .setAttribute("enduser.id", header(exchange, "X-User"))
                    .setAttribute("request.id", header(exchange, "X-Request-Id"));
            String order = exchange.getRequestURI().getPath().substring(path.length() + 1);
            try (exchange) {
                exchange.sendResponseHeaders(route.serve(order), -1);
            }
        };
    }

    private static String header(HttpExchange exchange, String name) {
        return exchange.getRequestHeaders().getFirst(name);
    }

    private static int crash(String order) {
        throw new IllegalArgumentException("order " + order + " has no lines");
    }

    /** An exception is caught, noted and answered as the shop's failure. */
    private static int pay(String order) {
        try {
            return crash(order);
        } catch (IllegalArgumentException failure) {
            Span.current().recordException(failure);
            return 500;
        }
    }

    /** The payment service fails; the shop says so without an exception. */
    private static int payment(String order) throws IOException {
        return get(System.getenv("UPSTREAM_URL") + "/pay/" + order + "?key=hush") < 400 ? 200 : 502;
    }

    /** Nobody listens; the exception of the call leaves the handler. */
    private static int shipping(String order) throws IOException {
        return get(System.getenv("CLOSED_URL") + "/ship/" + order);
    }

    /** Nobody listens; the shop says so without an exception. */
    private static int tracking(String order) {
        try {
            return get(System.getenv("CLOSED_URL") + "/track/" + order);
        } catch (IOException failure) {
            return 502;
        }
    }

    /** An exception passes a span of the shop's own and is the cause of another. */
    private static int reserve(String order) {
        try {
            lock(order);
            return 200;
        } catch (LockException failure) {
            throw new IllegalStateException("no reservation", failure);
        }
    }

    private static void lock(String order) throws LockException {
        Span span = TRACER.spanBuilder("lock").startSpan();
        try {
            throw new LockException(order);
        } catch (LockException failure) {
            span.recordException(failure);
            span.setStatus(StatusCode.ERROR);
            throw failure;
        } finally {
            span.end();
        }
    }

    /** An exception is noted and lived with. */
    private static int coupon(String order) {
        Span.current().recordException(new IllegalStateException("no coupon for order " + order));
        return 200;
    }

    /** An exception is noted and answered as the caller's mistake. */
    private static int quantity(String order) {
        String message = "order " + order + " asks for -1 pieces";
        Span.current().recordException(new IllegalArgumentException(message));
        return 422;
    }

    private static int get(String url) throws IOException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url)).build();
        try {
            return CLIENT.send(request, BodyHandlers.discarding()).statusCode();
        } catch (InterruptedException stopping) {
            throw new IOException(stopping);
        }
    }
}
