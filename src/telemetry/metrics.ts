/** The metrics of /metrics: the one list of names, from which the meters, the table in the docs and the tests of the chart are made. */
import { faultCauses } from '../domain/fault-cause.ts';

export type Metric = {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  /** The values of labels come from closed sets: lanes, states, the transports of the plan, routes as patterns. Never an id or an address. */
  readonly labels: readonly string[];
  readonly help: string;
  /** Upper bounds of a histogram, in seconds. */
  readonly buckets?: readonly number[];
};

const quick = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;
/** For waits of mail, which may take hours: for a server that is away, a quota, a retry. */
const patient = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200, 43_200] as const;
/** A server may take ten minutes for its last answer (RFC 5321 section 4.5.3.2.6). */
const smtp = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600] as const;

export const metrics = {
  postrider_accepted_emails_total: {
    kind: 'counter',
    labels: ['lane'],
    help: 'Emails that the API stored and answered with 202. A repeat with the same Idempotency-Key counts once.',
  },
  postrider_refused_requests_total: {
    kind: 'counter',
    labels: ['reason', 'takes_mail'],
    help: 'Requests answered with a problem, by the name of the problem. `takes_mail` is `true` where the request would have brought mail. A 503 counts as `back_pressure` or `redis_away` if that is its cause.',
  },
  postrider_taking_mail: {
    kind: 'gauge',
    labels: ['lane'],
    help: '1 while this process accepts new mail of the lane, 0 while it answers 503: too much mail waits, or Redis is nearly full, is away, takes no writes or does not meet `REQUIRE_DURABLE_REDIS`. Only processes with the API report it.',
  },
  postrider_recipients_total: {
    kind: 'counter',
    labels: ['lane', 'status'],
    help: 'Recipients that entered a state. In the end, as many have entered a final state as entered `scheduled` or `queued` at accept, or with the start or early cancel of a campaign. Crashes and lost answers of Redis can cause differences.',
  },
  postrider_waiting_emails: {
    kind: 'gauge',
    labels: ['lane'],
    help: 'Emails that wait in the whole fleet: due, deferred or parked, but not scheduled for later. A job in the queue counts as one. `bulk` includes recipients of running campaigns that were not tried yet, but not those of paused campaigns.',
  },
  postrider_oldest_waiting_seconds: {
    kind: 'gauge',
    labels: ['lane'],
    help: 'How long the oldest waiting email of the whole fleet has been due, parked or not. In `bulk` also how long a running campaign with recipients left has not moved, beyond what its own rate explains. 0 when nothing waits.',
  },
  postrider_parked_emails: {
    kind: 'gauge',
    labels: ['transport', 'lane'],
    help: 'Emails in the whole fleet that are due, but no transport of their route can take them. Each counts for the transport that it waits for.',
  },
  postrider_queue_wait_seconds: {
    kind: 'histogram',
    labels: ['lane'],
    help: 'Time from when an email was due until a server was contacted for it: the wait for the queue, rates and connections. Recipients of campaigns count from their second attempt on.',
    buckets: patient,
  },
  postrider_accept_to_sent_seconds: {
    kind: 'histogram',
    labels: ['lane'],
    help: 'Time from accept, or from the scheduled time, to the 250 of the next hop. Recipients of campaigns whose first attempt succeeded do not count.',
    buckets: patient,
  },
  postrider_smtp_phase_seconds: {
    kind: 'histogram',
    labels: ['transport', 'phase'],
    help: 'Duration of each phase of an attempt: `connect` (with TLS and login, if the attempt opened the connection), `envelope`, `body` (up to the last reply).',
    buckets: smtp,
  },
  postrider_attempts_total: {
    kind: 'counter',
    labels: ['transport', 'outcome'],
    help: 'Attempts to send an email: `sent` if at least one recipient was accepted, else `deferred` or `bounced`; `unknown`, `transport_fault` (no email loses an attempt) or `undeliverable`. A message that could not be made and a file that could not be fetched do not count.',
  },
  postrider_file_fetches_total: {
    kind: 'counter',
    labels: ['lane', 'outcome'],
    help: 'Fetches of files given by `path`: `fetched`, `fault` (it counts as one of the five attempts of the email) or `put_off` (nothing is known of the file yet, and the email loses no attempt).',
  },
  postrider_pool_connections: {
    kind: 'gauge',
    labels: ['transport', 'state'],
    help: 'SMTP connections of this process that are logged in: `busy` with a message, or `idle`.',
  },
  postrider_breaker_open: {
    kind: 'gauge',
    labels: ['transport'],
    help: `1 while a transport is out of service. The cause is one of: ${faultCauses.map((cause) => `\`${cause}\``).join(', ')}.`,
  },
  postrider_transport_paused: {
    kind: 'gauge',
    labels: ['transport'],
    help: '1 while somebody has paused the transport.',
  },
  postrider_webhook_posts_total: {
    kind: 'counter',
    labels: ['outcome'],
    help: 'POSTs to webhook endpoints: `delivered` (2xx), `refused` (any other answer) or `unanswered`.',
  },
  postrider_webhook_post_seconds: {
    kind: 'histogram',
    labels: [],
    help: 'Duration of a POST to a webhook endpoint.',
    buckets: quick,
  },
  postrider_webhook_waiting_events: {
    kind: 'gauge',
    labels: [],
    help: 'Events in the whole fleet that wait to be posted to an endpoint. An event that waits for two endpoints counts twice.',
  },
  postrider_webhook_oldest_waiting_seconds: {
    kind: 'gauge',
    labels: [],
    help: 'How long the oldest event of the whole fleet has waited for an endpoint, retries included. An endpoint that is down counts since its first failed POST in a row. 0 when nothing waits.',
  },
  postrider_outbox_unnotified_events: {
    kind: 'gauge',
    labels: [],
    help: 'Events in the whole fleet that are stored, but not yet queued for the endpoints that want them. Redis before 7 does not tell.',
  },
  postrider_redis_memory_bytes: {
    kind: 'gauge',
    labels: [],
    help: 'Memory that Redis uses (`used_memory`).',
  },
  postrider_http_requests_total: {
    kind: 'counter',
    labels: ['route', 'method', 'status'],
    help: 'Answered requests. `route` is the pattern of the route, or `unknown`. Malformed HTTP and a head that is too large get a 400 and do not count.',
  },
  postrider_http_request_seconds: {
    kind: 'histogram',
    labels: ['route'],
    help: 'Time from the head of a request to the end of its answer. A live event stream counts when it ends.',
    buckets: quick,
  },
  postrider_transports_file_wrong: {
    kind: 'gauge',
    labels: [],
    help: '1 while `TRANSPORTS_FILE` is wrong and this process still uses its earlier content.',
  },
  postrider_log_lines_dropped_total: {
    kind: 'counter',
    labels: [],
    help: 'Log lines that could not be written to stdout, because the disk is full, or because nobody reads stdout or reads it too slowly. The work itself is done.',
  },
  postrider_clock_difference_seconds: {
    kind: 'gauge',
    labels: [],
    help: 'How far the clock of this machine is ahead of the clock of Redis, which all processes follow. Negative when it is behind.',
  },
  postrider_redis_up: {
    kind: 'gauge',
    labels: [],
    help: '1 while Redis answers. While it does not, the metrics that come from Redis are missing.',
  },
} as const satisfies Readonly<Record<string, Metric>>;

export type MetricName = keyof typeof metrics;

/** The table of metrics in the documents. */
export function metricsTable(): string {
  const rows = Object.entries(metrics).map(([name, { kind, labels, help }]: [string, Metric]) => {
    const listed = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${kind} | ${listed} | ${help} |`;
  });
  return ['| metric | kind | labels | what it tells |', '|---|---|---|---|', ...rows].join('\n');
}

/** The names of the metrics of a kind. */
export type NamesOf<Kind extends Metric['kind']> = {
  [Name in MetricName]: (typeof metrics)[Name]['kind'] extends Kind ? Name : never;
}[MetricName];
