{{/* Refuses wrong values before anything is rendered. */}}
{{- define "postrider.checks" -}}
{{- include "postrider.checkName" . }}
{{- include "postrider.checkOwners" . }}
{{- include "postrider.checkSecrets" . }}
{{- include "postrider.checkServers" . }}
{{- include "postrider.checkScaling" . }}
{{- include "postrider.checkMemory" . }}
{{- include "postrider.checkEnv" . }}
{{- include "postrider.checkLabels" . }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- fail "ingress needs a name in ingress.hosts" }}
{{- end }}
{{- end }}

{{/* A release name may begin with a digit and contain dots; the name of a Service may not. */}}
{{- define "postrider.checkName" -}}
{{- $name := include "postrider.fullname" . }}
{{- if not (regexMatch `^[a-z]([-a-z0-9]*[a-z0-9])?$` $name) }}
{{- fail (printf "%s cannot be the name of a Service: set fullnameOverride" $name) }}
{{- end }}
{{- end }}

{{/* Helm deletes a Secret of the chart once no value is left for it. A Secret of yours with the same name would be deleted too. */}}
{{- define "postrider.checkOwners" -}}
{{- $name := include "postrider.fullname" . }}
{{- range $value := list "apiKey" "secretKey" "redis" "smtp" "transports" }}
{{- $existing := (index $.Values $value).existingSecret }}
{{- if has $existing (list $name (printf "%s-transports" $name)) }}
{{- fail (printf "%s.existingSecret is %s, a Secret of the chart itself, which Helm may delete: expected another name" $value $existing) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The form of secrets is checked here, not by the schema: the schema would print a wrong value, which may be almost the real secret. */}}
{{- define "postrider.checkSecrets" -}}
{{- $forms := dict
  "apiKey" (list `^pr_[\w-]{20,200}\s*$` "pr_ and at least 20 letters, digits, _ or -")
  "secretKey" (list `^([0-9a-fA-F]{64}|[A-Za-z0-9+/_-]{43}=?)\s*$` "32 bytes as hex or base64") }}
{{- range $name, $form := $forms }}
{{- $of := index $.Values $name }}
{{- if not (or $of.existingSecret $of.value) }}
{{- fail (printf "%s is missing: set %s.existingSecret to the name of a Secret that holds it" $name $name) }}
{{- end }}
{{- if and $of.existingSecret $of.value }}
{{- fail (printf "%s is given twice: set %s.existingSecret or %s.value" $name $name $name) }}
{{- end }}
{{- if and $of.value (not (regexMatch (first $form) $of.value)) }}
{{- fail (printf "%s.value: expected %s" $name (last $form)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "postrider.checkServers" -}}
{{- $values := .Values -}}
{{- $stores := compact (list $values.redis.existingSecret $values.redis.url (ternary "valkey" "" $values.valkey.enabled)) }}
{{- if ne (len $stores) 1 }}
{{- fail "Set one of redis.existingSecret, redis.url and, to try things out, valkey.enabled" }}
{{- end }}
{{- $ways := compact (list $values.smtp.existingSecret $values.smtp.url $values.transports.existingSecret $values.transports.file) }}
{{- if ne (len $ways) 1 }}
{{- fail "Set one of smtp.existingSecret, smtp.url, transports.existingSecret and transports.file" }}
{{- end }}
{{- with $values.valkey }}
{{- $limit := include "postrider.memoryLimit" .resources }}
{{- $bytes := include "postrider.bytes" $limit }}
{{- if and .enabled $bytes (gt (mul 4 (include "postrider.bytes" .maxmemory | int64)) (mul 3 (int64 $bytes))) }}
{{- fail (printf "valkey.maxmemory is %s, of a limit of %s: expected three quarters of it at most, because the rewrite of the append-only file needs memory too" .maxmemory $limit) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The memory limit in a container's resources; empty if there is none. */}}
{{- define "postrider.memoryLimit" -}}
{{- $given := (default dict (default dict .).limits).memory | default "" }}
{{- /* A number arrives as a float, which would be written as 1e+09. */}}
{{- ternary (int64 $given) $given (kindIs "float64" $given) | toString }}
{{- end }}

{{/* Converts `384mb` or `512Mi` to bytes; empty if it cannot. */}}
{{- define "postrider.bytes" -}}
{{- $unit := regexFind "[a-zA-Z]*$" . }}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "kb" 1024 "mb" 1048576 "gb" 1073741824 }}
{{- if and (regexMatch `^[0-9.]+[a-zA-Z]*$` .) (hasKey $units $unit) }}
{{- mulf (trimSuffix $unit . | float64) (index $units $unit) | int64 }}
{{- end }}
{{- end }}

{{- define "postrider.checkScaling" -}}
{{- range $component := list "api" "worker" }}
{{- with (index $.Values $component).autoscaling }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- fail (printf "%s.autoscaling has a minReplicas over its maxReplicas" $component) }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.worker }}
{{- if and .keda.enabled (not (and .autoscaling.enabled .keda.serverAddress)) }}
{{- fail "worker.keda needs worker.autoscaling.enabled, and worker.keda.serverAddress, the address of Prometheus" }}
{{- end }}
{{- if and .keda.authModes (not .keda.authenticationRef) }}
{{- fail "worker.keda.authModes needs worker.keda.authenticationRef, the name of the TriggerAuthentication that holds them" }}
{{- end }}
{{- end }}
{{- end }}

{{/* The memory limit must not kill a process that holds as much as it may. It needs a base amount, plus a multiple of what a setting allows. */}}
{{- define "postrider.checkMemory" -}}
{{- range $component, $terms := dict "api" (list "API_BODY_BYTES" 5) "worker" (list "WORKER_MAIL_BYTES" 14) }}
{{- $name := first $terms }}
{{- $limit := include "postrider.memoryLimit" (index $.Values $component).resources }}
{{- $bytes := include "postrider.bytes" $limit }}
{{- $given := "64mb" }}
{{- range (include "postrider.env" (dict "root" $ "component" $component) | fromYamlArray) }}
{{- if eq .name $name }}
{{- $given = default "" .value }}
{{- end }}
{{- end }}
{{- $wanted := include "postrider.bytes" (lower $given) }}
{{- if and $bytes $wanted (gt (add 201326592 (mul (last $terms) (int64 $wanted))) (int64 $bytes)) }}
{{- fail (printf "%s.resources.limits.memory is %s, and %s is %s: expected 192Mi and %d times that at least" $component $limit $name $given (last $terms)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "postrider.checkEnv" -}}
{{- range $component := list "api" "worker" }}
{{- $names := list }}
{{- range (include "postrider.env" (dict "root" $ "component" $component) | fromYamlArray) }}
{{- /* TRANSPORTS_FILE is itself a setting; there is no setting TRANSPORTS. */}}
{{- $name := ternary .name (trimSuffix "_FILE" .name) (eq .name "TRANSPORTS_FILE") }}
{{- if has $name $names }}
{{- fail (printf "%s is given twice: env may not repeat what the chart or settings give" $name) }}
{{- end }}
{{- $names = append $names $name }}
{{- end }}
{{- if and (has "SMTP_URL" $names) (has "TRANSPORTS_FILE" $names) }}
{{- $both := ternary (list "SMTP_URL" "TRANSPORTS_FILE") (list "TRANSPORTS_FILE" "SMTP_URL") (ne (include "postrider.hasTransports" $) "") }}
{{- fail (printf "%s is given beside %s: expected one of them" (first $both) (last $both)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A key that the chart sets already would be there twice. */}}
{{- define "postrider.checkLabels" -}}
{{- $labels := include "postrider.labels" (dict "root" . "component" "any") | fromYaml }}
{{- $given := dict
  "api.podLabels" .Values.api.podLabels
  "worker.podLabels" .Values.worker.podLabels
  "serviceMonitor.labels" .Values.serviceMonitor.labels
  "prometheusRule.labels" .Values.prometheusRule.labels
  "dashboard.labels" .Values.dashboard.labels }}
{{- range $where, $own := $given }}
{{- include "postrider.checkKeys" (dict "where" $where "own" $own "ours" $labels) }}
{{- end }}
{{- $annotations := dict "checksum/secrets" "" }}
{{- include "postrider.checkKeys" (dict "where" "api.podAnnotations" "own" .Values.api.podAnnotations "ours" $annotations) }}
{{- include "postrider.checkKeys" (dict "where" "worker.podAnnotations" "own" .Values.worker.podAnnotations "ours" $annotations) }}
{{- end }}

{{- define "postrider.checkKeys" -}}
{{- range $key, $_ := .own }}
{{- if hasKey $.ours $key }}
{{- fail (printf "%s has %s, which the chart gives" $.where $key) }}
{{- end }}
{{- end }}
{{- end }}
