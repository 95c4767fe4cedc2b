// The types of the client of Promo Sandbox. specs/sandbox/admin.yaml describes the replies of the server.

export type Json = null | boolean | number | string | Json[] | { [field: string]: Json };
export type JsonObject = { [field: string]: Json };

/** The version of this client. The server must have the same. */
export const VERSION: string;

/** The server rejected a call, or did not answer. */
export class SandboxError extends Error {
  constructor(detail: string, more?: { status?: number; errors?: Mistake[]; cause?: unknown });
  /** One sentence. */
  readonly detail: string;
  /** The status code of the reply; 0 if there was none. */
  readonly status: number;
  /** The mistakes in the request, each with its place. */
  readonly errors: Mistake[];
}

export interface Mistake {
  detail: string;
  /** A JSON Pointer to the invalid value. */
  pointer: string;
  line?: number | null;
}

export interface Options {
  /** The server's admin token, if it has one. */
  token?: string;
  /** Timeout of one call in milliseconds. The default is 30,000. */
  timeout?: number;
  fetch?: typeof globalThis.fetch;
}

export interface Version {
  version: string;
  specs: { name: string; title: string; version: string; base: string; operations: number }[];
}

/** The server at a URL. The first call also checks the server's version, and throws if it is not that of this client. */
export class Sandbox {
  constructor(url?: string, options?: Options);
  readonly url: string;
  /** The org with this name, or with a new one. It appears on first use. */
  org(name?: string): Org;
  /** The server's version and specs. */
  version(): Promise<Version>;
  /** The orgs sorted by name; with `after`, only names that come after it. */
  orgs(page?: { limit?: number; after?: string }): Promise<OrgInfo[]>;
  /** The named scenarios. */
  scenarios(): Promise<{ name: string; summary: string | null; steps: number; bundled: boolean }[]>;
  /** Which parts of the contracts the clients of all orgs, or of one, have covered. */
  coverage(criteria?: { org?: string; vendor?: string }): Promise<Coverage>;
  /**
   * Sends a call to /__admin that has no method here, and returns the result. A string is sent as YAML.
   * `extraTimeout`: milliseconds that the server itself may wait, on top of `timeout`.
   */
  send(method: string, path: string, body?: unknown, extraTimeout?: number): Promise<any>;
}

export interface OrgInfo {
  name: string;
  now: string;
  frozen: boolean;
  documents: number;
  requests: number;
  /** Requests that matched no operation. */
  unmatched: number;
  internal_errors: number;
  /** Steps of the scenario that still wait for calls. */
  unmet: number;
  /** Calls that the scenario did not expect. */
  unexpected: number;
  /** Calls for which an effect is armed. */
  armed: number;
}

/** `{vendor: {collection: [object]}}` */
export type Documents = { [vendor: string]: { [collection: string]: object[] } };

export interface TokenOptions {
  tenant?: string;
  customer?: string;
  scopes?: string[];
  claims?: { [claim: string]: string };
  /** Seconds of the org's clock. */
  expiresIn?: number;
}

export interface RequestCriteria {
  operation?: string;
  status?: number;
  rejection?: string;
  rejected?: boolean;
  unmatched?: boolean;
  internal_error?: boolean;
  /** Only greater ids. */
  since?: number;
}

export interface Exchange {
  id: number;
  org: string;
  at: string;
  vendor: string | null;
  operation: string | null;
  version: string | null;
  request: { method: string; target: string; headers: [string, string][]; body: string | null; size: number };
  reply: { status: number; headers: [string, string][]; media: string | null; body: string | null; size: number };
  rejection: string | null;
  source: string | null;
  violations: { where: string; message: string; kind: string; spec: string | null }[];
  nearest: { operation: string; method: string; path: string; why: string }[];
  preference: string | null;
  step: number | null;
  unexpected: string | null;
  fault: { delay: number; cut: 'before' | 'after' | 'midway' | null; corrupt: boolean } | null;
  internal_error: string | null;
  changes: { collection: string; id: string; before: JsonObject | null; after: JsonObject | null }[];
  events: Event[];
  microseconds: number;
}

export interface Event {
  at: string;
  event: string;
  payload: JsonObject;
  cause: string;
}

/** The effect of a step or of `next`: one of these fields, or one of them together with `delay`. */
export interface Effect {
  reject?: string;
  reply?: { status: number; headers?: { [name: string]: string }; body?: Json; off_contract?: boolean };
  delay?: string | number;
  cut?: 'before' | 'after' | 'midway';
  corrupt?: true;
  [other: string]: unknown;
}

export interface ArmedEffect {
  operation: string;
  then: Effect;
  times: number;
}

export interface Progress {
  name: string | null;
  summary: string | null;
  otherwise: 'rules' | 'fail';
  current: number | null;
  steps: {
    number: number;
    operation: string | null;
    then: JsonObject;
    times: number | string;
    taken: number;
    by: number[];
    done: boolean;
  }[];
  unmet: number[];
  unexpected: { exchange: number; operation: string | null; why: string }[];
  unexpected_count: number;
}

export interface Part {
  covered: number;
  all: number;
  percent: number;
}

export interface Totals {
  operations: Part;
  statuses: Part;
  rejections: Part;
  callbacks: Part;
  everything: Part;
}

export interface Coverage {
  org: string | null;
  totals: Totals;
  vendors: {
    vendor: string;
    totals: Totals;
    operations: {
      operation: string;
      method: string;
      path: string;
      summary: string;
      count: number;
      statuses: { status: number; count: number }[];
      rejections: { rejection: string; status: number; count: number; source: string; summary: string }[];
    }[];
    callbacks: { callback: string; count: number }[];
  }[];
}

/** An isolated org: its clock, its documents, its journal. */
export class Org {
  private constructor();
  readonly name: string;
  readonly clock: Clock;
  readonly webhooks: Webhooks;
  readonly snapshots: Snapshots;
  /**
   * The URL that replaces the vendor's scheme and host. Requests below it reach this org, whatever their tenant.
   * With `api`, the name of one of the vendor's specs, it is the base URL of that API, with its path.
   */
  url(vendor: string, api?: string): Promise<string>;
  /** A bearer token of a vendor that grants exactly these claims. */
  token(vendor: string, options?: TokenOptions): Promise<string>;
  /** The org's time, and how many documents, requests and problems it has. Throws if the org does not exist. */
  about(): Promise<OrgInfo>;
  /** Stores objects as if they had always existed, all or none. Returns the stored objects. */
  seed(documents: Documents): Promise<Documents>;
  /** Everything that is stored, as `putState` takes it. */
  state(): Promise<JsonObject>;
  /** Replaces the whole state. */
  putState(state: object): Promise<JsonObject>;
  /** Returns the org to its initial state. A scenario starts again; snapshots are deleted. */
  reset(): Promise<void>;
  /** Deletes the org. It is no error if there is none. */
  forget(): Promise<void>;
  /** Resets the org and starts a scenario, given as its name, a document, or YAML text. Returns its progress. */
  scenario(scenario: string | object): Promise<Progress>;
  /** The progress of the scenario. Throws if the org has none. */
  scenarioProgress(): Promise<Progress>;
  /** Stops the scenario; everything else stays as it is. */
  endScenario(): Promise<void>;
  /** Arms an effect for the next calls of an operation. Returns all armed effects. */
  next(operation: string, then: Effect, options?: { times?: number }): Promise<ArmedEffect[]>;
  /** The armed effects that no call has consumed yet. */
  armed(): Promise<ArmedEffect[]>;
  /** Removes all armed effects. */
  disarm(): Promise<void>;
  /** The recorded requests that match all criteria, with their replies, newest first; at most `limit`, 100 by default. */
  requests(criteria?: RequestCriteria & { limit?: number }): Promise<Exchange[]>;
  /** The exchange with the id of a reply's header `Sandbox-Exchange`. */
  request(id: number | string): Promise<Exchange>;
  /** How many recorded requests match all criteria; their JSON body contains `body`. */
  count(criteria?: RequestCriteria & { body?: Json }): Promise<number>;
  /** Deletes the recorded requests; ids continue. */
  clearRequests(): Promise<void>;
  /** The events for subscribers, oldest first. */
  events(name?: string): Promise<Event[]>;
  /** The org as one document, for `import` on another server. */
  export(): Promise<JsonObject>;
  /** Replaces this org with an exported one. */
  import(document: object): Promise<OrgInfo>;
  /** Which parts of the contracts this org has covered. */
  coverage(criteria?: { vendor?: string }): Promise<Coverage>;
}

export interface ClockState {
  now: string;
  frozen: boolean;
}

export interface Occurrence {
  at: string;
  event: string;
  id: string | null;
  notified: string[];
  internal_error: string | null;
}

/** An org's clock. */
export interface Clock {
  /** The org's time. */
  now(): Promise<Date>;
  /** Sets the time. A frozen clock stays frozen; a running one runs on. */
  set(now: Date | string): Promise<ClockState>;
  /** Stops the clock, at `now` or at its present time. */
  freeze(now?: Date | string): Promise<ClockState>;
  /** Lets a frozen clock run again, from the time it shows. */
  run(): Promise<ClockState>;
  /** Lets time pass, by seconds or an ISO 8601 duration (`P30D`), or up to a moment. Returns what happened. */
  advance(by: number | string | Date | { to: Date | string }): Promise<Occurrence[]>;
}

export interface Snapshot {
  name: string;
  at: string;
  frozen: boolean;
  documents: number;
}

/** An org's snapshots. */
export interface Snapshots {
  /** The snapshots, oldest first. */
  list(): Promise<Snapshot[]>;
  /** Saves the present state under a name, which may be in use already. */
  take(name: string): Promise<Snapshot>;
  /** Goes back to a snapshot. */
  restore(name: string): Promise<OrgInfo>;
  /** Deletes a snapshot. */
  drop(name: string): Promise<void>;
}

export interface Webhook {
  id: number;
  at: string;
  event: string;
  cause: string;
  subscription: string;
  url: string;
  payload: JsonObject;
  /** The body that was sent, if a delivery fault changed it. */
  sent: string | null;
  /** `waiting`, `delivered`, `dead`, `canceled`, `dropped` or `not_allowed`. */
  status: string;
  detail: string | null;
  delivery_fault: Json;
  redelivery_of: number | null;
  attempts: { at: string; status: number | null; milliseconds: number | null; body: string | null; error: string | null }[];
  attempted: number;
  next_attempt: string | null;
}

export interface WebhookCriteria {
  subscription?: string;
  event?: string;
  status?: string;
  /** Only greater ids. */
  since?: number;
  limit?: number;
}

/** An org's webhooks. */
export interface Webhooks {
  /** The webhooks that match all criteria, sent or not, oldest first. */
  list(criteria?: WebhookCriteria): Promise<Webhook[]>;
  /** Waits until `count` webhooks match. Throws if there are fewer after `timeout` seconds, 5 by default. */
  wait(criteria?: WebhookCriteria & { count?: number; timeout?: number }): Promise<Webhook[]>;
  /** Attempts all waiting webhooks now. */
  flush(): Promise<{ attempted: number; delivered: number; waiting: number }>;
  /** Sends a webhook again. Returns the new one. */
  redeliver(id: number): Promise<Webhook>;
  /** The prefixes of callback URLs that are replaced, `{from: to}`. */
  rewrites(): Promise<{ [from: string]: string }>;
  /** Replaces prefixes of callback URLs. These rewrites replace all earlier ones. */
  rewrite(rewrites: { [from: string]: string }): Promise<{ [from: string]: string }>;
}
