// A small shop on net/http under otelhttp. Each route fails in one way; the id is in the path.
//
// README's lines for Go take the place of the comment in serve; without them it does not compile.
// UPSTREAM_URL is a payment service that answers 500 to everything, CLOSED_URL an address where
// nobody listens. The shop listens on any free port and prints it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

type couponError struct{ order string }

func (e couponError) Error() string { return "no coupon for order " + e.order }

type lockError struct{ order string }

func (e *lockError) Error() string { return "order " + e.order + " is locked" }

var client = http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport)}

func main() {
	if err := serve(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context) error {
	mux := http.NewServeMux()
	for path, answer := range map[string]http.HandlerFunc{
		"":             order,
		"/crash":       recovering(crash),
		"/panic":       crash,
		"/unavailable": unavailable,
		"/pay":         pay,
		"/payment":     payment,
		"/shipping":    shipping,
		"/tracking":    tracking,
		"/reserve":     reserve,
		"/coupon":      coupon,
		"/quantity":    quantity,
	} {
		mux.HandleFunc("GET /orders/{id}"+path, noting(answer))
	}
	// README's lines for Go.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := http.Server{Handler: handler, ErrorLog: log.New(os.Stderr, "", 0)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	terminated, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	select {
	case err := <-ended:
		return err
	case <-terminated.Done():
		// What is deferred sends the spans that wait.
		return server.Shutdown(ctx)
	}
}

// noting says on the request's span who asks.
func noting(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		trace.SpanFromContext(r.Context()).SetAttributes(
			attribute.String("enduser.id", r.Header.Get("X-User")),
			attribute.String("request.id", r.Header.Get("X-Request-Id")),
		)
		next(w, r)
	}
}

// recovering answers a panic with 500, and notes it as a failure with the stack of the panic.
func recovering(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if cause := recover(); cause != nil {
				err := fmt.Errorf("panic: %v", cause)
				failed(w, r, http.StatusInternalServerError, err, trace.WithStackTrace(true))
			}
		}()
		next(w, r)
	}
}

// failed notes an error as the failure of the request, and answers.
func failed(w http.ResponseWriter, r *http.Request, status int, err error, options ...trace.EventOption) {
	span := trace.SpanFromContext(r.Context())
	span.RecordError(err, options...)
	span.SetStatus(codes.Error, err.Error())
	http.Error(w, err.Error(), status)
}

func order(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "order %s\n", r.PathValue("id"))
}

// crash leaves out a check: what it looks for is not there.
func crash(http.ResponseWriter, *http.Request) {
	var lines []string
	fmt.Println(lines[len(os.Args)+1])
}

// unavailable answers nothing but a status.
func unavailable(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "closed for stocktaking", http.StatusServiceUnavailable)
}

// pay fails with an error of no type of its own.
func pay(w http.ResponseWriter, r *http.Request) {
	failed(w, r, http.StatusInternalServerError, errors.New("order "+r.PathValue("id")+" has no lines"))
}

// payment asks the payment service, which fails; the shop says so without an error.
func payment(w http.ResponseWriter, r *http.Request) {
	answer, err := get(r, os.Getenv("UPSTREAM_URL")+"/pay/"+r.PathValue("id")+"?key=hush")
	if err == nil && answer.StatusCode < 400 {
		return
	}
	w.WriteHeader(http.StatusBadGateway)
}

// shipping asks where nobody listens, and says no more than a status.
func shipping(w http.ResponseWriter, r *http.Request) {
	if _, err := get(r, os.Getenv("CLOSED_URL")+"/ship/"+r.PathValue("id")); err != nil {
		w.WriteHeader(http.StatusBadGateway)
	}
}

// tracking asks where nobody listens, and notes the error of the call as its own.
func tracking(w http.ResponseWriter, r *http.Request) {
	if _, err := get(r, os.Getenv("CLOSED_URL")+"/track/"+r.PathValue("id")); err != nil {
		failed(w, r, http.StatusBadGateway, err)
	}
}

// reserve fails two spans below the request, and the error is wrapped on its way up.
func reserve(w http.ResponseWriter, r *http.Request) {
	if err := lock(r.Context(), r.PathValue("id")); err != nil {
		failed(w, r, http.StatusInternalServerError, fmt.Errorf("no reservation: %w", err))
	}
}

func lock(ctx context.Context, order string) error {
	_, span := otel.Tracer("shop").Start(ctx, "lock")
	defer span.End()
	err := &lockError{order}
	span.RecordError(err)
	span.SetStatus(codes.Error, err.Error())
	return err
}

// coupon notes an error and lives with it.
func coupon(w http.ResponseWriter, r *http.Request) {
	trace.SpanFromContext(r.Context()).RecordError(couponError{r.PathValue("id")})
	w.WriteHeader(http.StatusOK)
}

// quantity notes an error and answers that it is the caller's.
func quantity(w http.ResponseWriter, r *http.Request) {
	err := fmt.Errorf("order %s asks for -1 pieces", r.PathValue("id"))
	trace.SpanFromContext(r.Context()).RecordError(err)
	http.Error(w, "how many?", http.StatusUnprocessableEntity)
}

// get makes a call within the request's trace, and gives its answer without the body.
func get(r *http.Request, url string) (*http.Response, error) {
	call, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(call)
	if err != nil {
		return nil, err
	}
	return answer, answer.Body.Close()
}
