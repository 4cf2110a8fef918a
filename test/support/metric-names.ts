/** What /metrics tells, which dashboard, alerts and KEDA are held to. */

export type Metric = { readonly kind: 'counter' | 'gauge' | 'histogram'; readonly labels: readonly string[] };

export const metrics: Readonly<Record<string, Metric>> = {
  postrider_accepted_emails_total: { kind: 'counter', labels: ['lane'] },
  postrider_refused_requests_total: { kind: 'counter', labels: ['reason'] },
  postrider_recipients_total: { kind: 'counter', labels: ['lane', 'status'] },
  postrider_waiting_emails: { kind: 'gauge', labels: ['lane'] },
  postrider_oldest_waiting_seconds: { kind: 'gauge', labels: ['lane'] },
  postrider_parked_emails: { kind: 'gauge', labels: ['transport', 'lane'] },
  postrider_queue_wait_seconds: { kind: 'histogram', labels: ['lane'] },
  postrider_accept_to_sent_seconds: { kind: 'histogram', labels: ['lane'] },
  postrider_smtp_phase_seconds: { kind: 'histogram', labels: ['transport', 'phase'] },
  postrider_attempts_total: { kind: 'counter', labels: ['transport', 'outcome'] },
  postrider_pool_connections: { kind: 'gauge', labels: ['transport', 'state'] },
  postrider_breaker_open: { kind: 'gauge', labels: ['transport'] },
  postrider_transport_paused: { kind: 'gauge', labels: ['transport'] },
  postrider_webhook_posts_total: { kind: 'counter', labels: ['outcome'] },
  postrider_webhook_post_seconds: { kind: 'histogram', labels: [] },
  postrider_webhook_waiting_events: { kind: 'gauge', labels: [] },
  postrider_webhook_oldest_waiting_seconds: { kind: 'gauge', labels: [] },
  postrider_outbox_unnotified_events: { kind: 'gauge', labels: [] },
  postrider_redis_memory_bytes: { kind: 'gauge', labels: [] },
  postrider_http_requests_total: { kind: 'counter', labels: ['route', 'method', 'status'] },
  postrider_http_request_seconds: { kind: 'histogram', labels: ['route'] },
  postrider_redis_up: { kind: 'gauge', labels: [] },
};
