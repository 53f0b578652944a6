// redspan for applications in TypeScript or JavaScript: the repositories of a hand-written layer,
// with their method names, over fetch. Copy this file; it needs nothing but fetch (Node 18 or newer,
// Deno, Bun, browsers).
//
//   const errors = new ApiErrorRepository({ onError: (failure) => console.warn(failure.message) });
//   await errors.logError({ endpoint: "/orders", method: "POST", errorMessage: "no lines" });
//
// Nothing here throws or takes longer than a second (deleting much: ten minutes): what cannot be done
// is told to onError, and its answer is null. What is not there is null, too, without onError.

/** Where redspan is, and what to do when it does not do what it was asked. */
export interface Options {
  /** Its http.listen. */
  url?: string;
  /** One of its auth.api_token. */
  token?: string;
  /** Who asks, for the audit log. */
  actor?: string;
  /** How long a call may take: 1,000 unless given. */
  timeoutMs?: number;
  /** The same of deleteOldErrors, cleanupOldPipelines and forgetUser: 600,000 unless given. */
  longTimeoutMs?: number;
  /** Hears of each failure. */
  onError?: (failure: Failure) => void;
}

/** Why a call was not answered. */
export interface Failure {
  /** What was asked: `POST /api/v1/errors`. */
  call: string;
  /** For people. */
  message: string;
  /** The answer's status, when there was one. */
  status?: number;
  /** Each field that is wrong. */
  fields: { field: string; value: string | null; advice: string }[];
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Severity = "debug" | "info" | "warning" | "error" | "critical";
export type Category =
  | "validation" | "authentication" | "authorization" | "external_api" | "database"
  | "file_system" | "network" | "application" | "unknown";
export type PipelineStatus = "initializing" | "processing" | "completed" | "failed" | "cancelled";
export type StageStatus = "pending" | "processing" | "completed" | "failed" | "skipped";

/** Times go out as Date or RFC 3339, and come in as RFC 3339. */
export type Time = Date | string;

export interface NewApiError {
  /** Made when it is not given. Sent again with the same id, an error is stored and counted once. */
  id?: string;
  endpoint: string;
  method: string;
  errorMessage: string;
  userId?: string;
  requestId?: string;
  errorCode?: string;
  errorStack?: string;
  severity?: Severity;
  category?: Category;
  statusCode?: number;
  requestBody?: Json;
  requestHeaders?: Json;
  responseBody?: Json;
  externalService?: string;
  externalErrorCode?: string;
  externalErrorMessage?: string;
  context?: { [key: string]: Json };
  tags?: string[];
  ipAddress?: string;
  userAgent?: string;
  createdAt?: Time;
  serviceName?: string;
  serviceVersion?: string;
  environment?: string;
  traceId?: string;
  spanId?: string;
}

export interface ApiError {
  id: string;
  endpoint: string;
  method: string;
  errorMessage: string;
  severity: Severity;
  category: Category;
  userId: string | null;
  resolved: boolean;
  resolvedBy: string | null;
  resolution: string | null;
  createdAt: string;
  fingerprint: string;
  [column: string]: Json;
}

export interface ErrorFilter {
  userId?: string;
  serviceName?: string;
  environment?: string;
  endpoint?: string;
  method?: string;
  severity?: Severity | Severity[];
  category?: Category | Category[];
  statusCode?: number;
  externalService?: string;
  resolved?: boolean;
  requestId?: string;
  traceId?: string;
  fingerprint?: string;
  tag?: string;
  from?: Time;
  to?: Time;
  text?: string;
  includeDeleted?: boolean;
}

export interface PageOptions {
  limit?: number;
  offset?: number;
  /** nextCursor of the page before. */
  cursor?: string;
  withTotal?: boolean;
}

export interface Page<T> {
  items: T[];
  nextCursor: string | null;
  total?: number;
}

export interface ErrorStats {
  total: number;
  bySeverity: Partial<Record<Severity, number>>;
  byCategory: Partial<Record<Category, number>>;
  topEndpoints: { endpoint: string; errors: number }[];
  uniqueUsers: number;
  resolved: number;
  unresolved: number;
}

export interface AggregationFilter {
  from?: Time;
  to?: Time;
  endpoint?: string;
  severity?: Severity;
  category?: Category;
  serviceName?: string;
  externalService?: string;
}

export interface ErrorGroup {
  fingerprint: string;
  title: string;
  status: "open" | "resolved" | "ignored";
  totalErrors: number;
  [column: string]: Json;
}

export interface NewPipeline {
  /** Made when it is not given. */
  id?: string;
  userId?: string;
  assetId?: string;
  config: { [key: string]: Json };
  name?: string;
  meshyTaskId?: string;
  riggingTaskId?: string;
  expiresAt?: Time;
  serviceName?: string;
  traceId?: string;
}

export interface NewStage {
  stageName: string;
  stageOrder?: number;
  status?: StageStatus;
}

export interface Pipeline {
  id: string;
  status: PipelineStatus;
  progress: number;
  currentStage: string | null;
  config: Json;
  results: Json;
  createdAt: string;
  startedAt: string | null;
  completedAt: string | null;
  [column: string]: Json;
}

export type Stage = { stageName: string; status: StageStatus; progress: number; [column: string]: Json };
export type PipelineWithStages = Pipeline & { stages: Stage[] };

export interface PipelineFilter {
  userId?: string;
  assetId?: string;
  status?: PipelineStatus | PipelineStatus[];
  meshyTaskId?: string;
  name?: string;
  from?: Time;
  to?: Time;
  includeDeleted?: boolean;
}

export interface PipelineStatistics {
  total: number;
  byStatus: Partial<Record<PipelineStatus, number>>;
  /** Not finished, and silent for an hour. */
  stuck: number;
  averageDurationSeconds: number | null;
  p50DurationSeconds: number | null;
  p95DurationSeconds: number | null;
  /** In percent; null when none is completed or failed. */
  successRate: number | null;
  /** Those that failed most often first; of a week, unless `from` says since when. */
  byStage: StageStatistics[];
}

export interface StageStatistics {
  stageName: string;
  completed: number;
  failed: number;
  skipped: number;
  unfinished: number;
  p50DurationSeconds: number | null;
  p95DurationSeconds: number | null;
}

/** Errors, the hours in which they are counted, and the groups that they belong to. */
export class ApiErrorRepository {
  private readonly api: Api;

  constructor(options: Options = {}) {
    this.api = new Api(options);
  }

  logError(error: NewApiError): Promise<ApiError | null> {
    return this.api.post(["errors"], withId(error));
  }

  /** All of them or none. */
  async logErrors(errors: NewApiError[]): Promise<ApiError[] | null> {
    const body = { errors: errors?.map?.(withId) };
    const logged = await this.api.post<{ items?: { error: ApiError }[] }>(["errors", "batch"], body);
    return logged?.items?.map((item) => item.error) ?? null;
  }

  getErrors(filter: ErrorFilter = {}, page: PageOptions = {}): Promise<Page<ApiError> | null> {
    return this.api.get(["errors"], { ...filter, ...page });
  }

  getErrorById(id: string): Promise<ApiError | null> {
    return this.api.get(["errors", id]);
  }

  async countErrors(filter: ErrorFilter = {}): Promise<number | null> {
    const page = await this.getErrors(filter, { limit: 1, withTotal: true });
    return page?.total ?? null;
  }

  resolveError(id: string, resolvedBy: string, resolution?: string): Promise<ApiError | null> {
    return this.api.post(["errors", id, "resolve"], { resolvedBy, resolution });
  }

  reopenError(id: string): Promise<ApiError | null> {
    return this.api.post(["errors", id, "reopen"], {});
  }

  /** Hides it; it stays counted. */
  deleteError(id: string): Promise<ApiError | null> {
    return this.api.delete(["errors", id]);
  }

  restoreError(id: string): Promise<ApiError | null> {
    return this.api.post(["errors", id, "restore"], {});
  }

  getErrorStats(filter: ErrorFilter = {}): Promise<ErrorStats | null> {
    return this.api.get(["errors", "stats"], { ...filter });
  }

  getAggregations(
    filter: AggregationFilter = {},
    page: PageOptions = {},
  ): Promise<Page<{ [column: string]: Json }> | null> {
    return this.api.get(["aggregations"], { ...filter, ...page });
  }

  getGroups(
    filter: { status?: string; serviceName?: string } = {},
    page: PageOptions = {},
  ): Promise<Page<ErrorGroup> | null> {
    return this.api.get(["groups"], { ...filter, ...page });
  }

  getGroup(fingerprint: string): Promise<ErrorGroup | null> {
    return this.api.get(["groups", fingerprint]);
  }

  /** Errors of versions older than resolvedVersion do not reopen it. */
  resolveGroup(
    fingerprint: string,
    resolvedBy: string,
    resolution?: string,
    resolvedVersion?: string,
  ): Promise<ErrorGroup | null> {
    const body = { resolvedBy, resolution, resolvedVersion };
    return this.api.post(["groups", fingerprint, "resolve"], body);
  }

  ignoreGroup(fingerprint: string): Promise<ErrorGroup | null> {
    return this.api.post(["groups", fingerprint, "ignore"], {});
  }

  reopenGroup(fingerprint: string): Promise<ErrorGroup | null> {
    return this.api.post(["groups", fingerprint, "reopen"], {});
  }

  /** Resolved ones, for good; how many. */
  async deleteOldErrors(olderThan: Time, includeUnresolved = false): Promise<number | null> {
    const body = { olderThan, includeUnresolved };
    const cleaned = await this.api.postLong<{ deleted: number }>(["errors", "cleanup"], body);
    return cleaned?.deleted ?? null;
  }

  forgetUser(userId: string): Promise<{ errors: number; pipelines: number } | null> {
    return this.api.deleteLong(["users", userId]);
  }
}

/** Runs of pipelines and their stages. */
export class GenerationPipelineRepository {
  private readonly api: Api;

  constructor(options: Options = {}) {
    this.api = new Api(options);
  }

  create(pipeline: NewPipeline): Promise<PipelineWithStages | null> {
    return this.createWithStages(pipeline, []);
  }

  /** Both or none of them. */
  createWithStages(pipeline: NewPipeline, stages: NewStage[]): Promise<PipelineWithStages | null> {
    return this.api.post(["pipelines"], { ...withId(pipeline), stages });
  }

  /** All of them or none. */
  async createMany(pipelines: NewPipeline[]): Promise<PipelineWithStages[] | null> {
    const body = { pipelines: pipelines?.map?.(withId) };
    const created = await this.api.post<{ items?: { pipeline: PipelineWithStages }[] }>(
      ["pipelines", "batch"],
      body,
    );
    return created?.items?.map((item) => item.pipeline) ?? null;
  }

  findById(id: string): Promise<Pipeline | null> {
    return this.findWithStages(id);
  }

  findWithStages(id: string): Promise<PipelineWithStages | null> {
    return this.api.get(["pipelines", id]);
  }

  findByUserId(
    userId: string,
    options: PipelineFilter & PageOptions = {},
  ): Promise<Page<Pipeline> | null> {
    return this.findMany({ ...options, userId });
  }

  findByStatus(
    status: PipelineStatus | PipelineStatus[],
    page: PageOptions = {},
  ): Promise<Page<Pipeline> | null> {
    return this.findMany({ ...page, status });
  }

  async findByMeshyTaskId(meshyTaskId: string): Promise<Pipeline | null> {
    const page = await this.findMany({ meshyTaskId, limit: 1 });
    return page?.items?.[0] ?? null;
  }

  findMany(options: PipelineFilter & PageOptions = {}): Promise<Page<Pipeline> | null> {
    return this.api.get(["pipelines"], { ...options });
  }

  async count(filter: PipelineFilter = {}): Promise<number | null> {
    const page = await this.findMany({ ...filter, limit: 1, withTotal: true });
    return page?.total ?? null;
  }

  /** null when nobody knows. */
  async exists(id: string): Promise<boolean | null> {
    return this.api.exists(["pipelines", id]);
  }

  /** What is absent stays, what is null becomes empty. */
  update(id: string, patch: { [field: string]: Json | Time }): Promise<Pipeline | null> {
    return this.api.patch(["pipelines", id], patch);
  }

  updateProgress(id: string, progress: number, stage?: string): Promise<Pipeline | null> {
    return this.api.post(["pipelines", id, "progress"], { progress, stage });
  }

  updateStatus(
    id: string,
    status: PipelineStatus,
    error?: string,
    errorStage?: string,
    errorDetails?: Json,
  ): Promise<Pipeline | null> {
    const body = { status, error, errorStage, errorDetails };
    return this.api.post(["pipelines", id, "status"], body);
  }

  updateStage(
    pipelineId: string,
    stage: string,
    patch: { [field: string]: Json },
  ): Promise<Stage | null> {
    return this.api.put(["pipelines", pipelineId, "stages", stage], patch);
  }

  delete(id: string): Promise<Pipeline | null> {
    return this.api.delete(["pipelines", id]);
  }

  restore(id: string): Promise<Pipeline | null> {
    return this.api.post(["pipelines", id, "restore"], {});
  }

  /** Finished ones, for good; how many. */
  async cleanupOldPipelines(olderThan: Time): Promise<number | null> {
    const body = { olderThan };
    const cleaned = await this.api.postLong<{ deleted: number }>(["pipelines", "cleanup"], body);
    return cleaned?.deleted ?? null;
  }

  getStatistics(filter: PipelineFilter = {}): Promise<PipelineStatistics | null> {
    return this.api.get(["pipelines", "stats"], { ...filter });
  }
}

const TIMEOUT_MS = 1_000;
const LONG_TIMEOUT_MS = 600_000;

/** The JSON API. All that could throw is done in one place, where nothing gets out. */
class Api {
  private readonly options: Options;

  constructor(options: Options) {
    this.options = options;
  }

  get<T>(path: string[], query?: { [name: string]: unknown }): Promise<T | null> {
    return this.ask("GET", path, undefined, query);
  }

  post<T>(path: string[], body: unknown): Promise<T | null> {
    return this.ask("POST", path, body);
  }

  put<T>(path: string[], body: unknown): Promise<T | null> {
    return this.ask("PUT", path, body);
  }

  patch<T>(path: string[], body: unknown): Promise<T | null> {
    return this.ask("PATCH", path, body);
  }

  delete<T>(path: string[]): Promise<T | null> {
    return this.ask("DELETE", path);
  }

  postLong<T>(path: string[], body: unknown): Promise<T | null> {
    return this.ask("POST", path, body, {}, this.options.longTimeoutMs ?? LONG_TIMEOUT_MS);
  }

  deleteLong<T>(path: string[]): Promise<T | null> {
    return this.ask("DELETE", path, undefined, {}, this.options.longTimeoutMs ?? LONG_TIMEOUT_MS);
  }

  /** Whether something is there; null when there was no answer. */
  async exists(path: string[]): Promise<boolean | null> {
    const answer = await this.answer("GET", path);
    return answer && answer.found !== null;
  }

  private async ask<T>(...question: Parameters<Api["answer"]>): Promise<T | null> {
    return ((await this.answer(...question))?.found as T | undefined) ?? null;
  }

  /** What was found, null inside when there is no such thing; null itself when it was not done. */
  private async answer(
    method: string,
    path: string[],
    body?: unknown,
    query: { [name: string]: unknown } = {},
    timeoutMs: number = this.options.timeoutMs ?? TIMEOUT_MS,
  ): Promise<{ found: unknown } | null> {
    const call = `${method} /api/v1/${path.join("/")}`;
    try {
      const { url = "http://127.0.0.1:9464", token, actor } = this.options;
      const headers: Record<string, string> = {};
      if (token) headers["Authorization"] = `Bearer ${token}`;
      if (actor) headers["X-Redspan-Actor"] = actor;
      if (body !== undefined) headers["Content-Type"] = "application/json";
      const place = path.map(segment).join("/");
      const response = await fetch(`${url.replace(/\/+$/, "")}/api/v1/${place}${question(query)}`, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(timeoutMs),
      });
      // The time limit covers the answer's body, too.
      const answer = await response.text();
      if (response.ok) return { found: JSON.parse(answer) };
      const problem = problemOf(answer);
      // Any other 404 comes from an address that is none of redspan's.
      if (problem?.type === "urn:redspan:not-found") return { found: null };
      this.tell({
        call,
        status: response.status,
        message: problem?.detail ?? `answered ${response.status}`,
        fields: problem?.errors ?? [],
      });
    } catch (cause) {
      this.tell({ call, message: String(cause), fields: [] });
    }
    return null;
  }

  private tell(failure: Failure): void {
    try {
      this.options.onError?.(failure);
    } catch {
      // A hook that fails must not fail the application.
    }
  }
}

/** With an id, by which an answer that was lost can be asked for again. */
function withId<T extends object>(row: T): T {
  return { ...row, id: (row as { id?: string })?.id ?? globalThis.crypto?.randomUUID?.() };
}

/** A text as one part of a path; half of a character is none. */
function segment(text: string): string {
  return encodeURIComponent(String(text).replace(/\p{Surrogate}/gu, "\uFFFD"));
}

/** The part of an address after its path; a list is one parameter several times. */
function question(query: { [name: string]: unknown }): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null) {
        parameters.append(name, one instanceof Date ? one.toISOString() : String(one));
      }
    }
  }
  const text = parameters.toString();
  return text && `?${text}`;
}

/** An answer of redspan's that says what is wrong (RFC 9457). */
function problemOf(
  answer: string,
): { type: string; detail: string; errors: Failure["fields"] } | null {
  try {
    const problem = JSON.parse(answer);
    return typeof problem?.detail === "string" ? problem : null;
  } catch {
    return null;
  }
}
