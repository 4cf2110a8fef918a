{{/* What cannot be right, said before anything is made of it. */}}
{{- define "postrider.checks" -}}
{{- $values := .Values -}}
{{- range $name := list "apiKey" "secretKey" }}
{{- $of := index $values $name }}
{{- if not (or $of.existingSecret $of.value) }}
{{- fail (printf "%s is missing: set %s.existingSecret to the name of a Secret that holds it" $name $name) }}
{{- end }}
{{- if and $of.existingSecret $of.value }}
{{- fail (printf "%s is given twice: set %s.existingSecret or %s.value" $name $name $name) }}
{{- end }}
{{- end }}
{{- $stores := compact (list $values.redis.existingSecret $values.redis.url (ternary "valkey" "" $values.valkey.enabled)) }}
{{- if ne (len $stores) 1 }}
{{- fail "Set one of redis.existingSecret, redis.url and, to try things out, valkey.enabled" }}
{{- end }}
{{- $ways := compact (list $values.smtp.existingSecret $values.smtp.url $values.transports.existingSecret $values.transports.file) }}
{{- if ne (len $ways) 1 }}
{{- fail "Set one of smtp.existingSecret, smtp.url, transports.existingSecret and transports.file" }}
{{- end }}
{{- range $component := list "api" "worker" }}
{{- with (index $values $component).autoscaling }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- fail (printf "%s.autoscaling has a minReplicas over its maxReplicas" $component) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $values.worker.keda.enabled }}
{{- if not (and $values.worker.autoscaling.enabled $values.worker.keda.serverAddress) }}
{{- fail "worker.keda needs worker.autoscaling.enabled, and worker.keda.serverAddress, which is where Prometheus is" }}
{{- end }}
{{- end }}
{{- range $component := list "api" "worker" }}
{{- $names := list }}
{{- range (include "postrider.env" (dict "root" $ "component" $component) | fromYamlArray) }}
{{- $name := trimSuffix "_FILE" .name }}
{{- if has $name $names }}
{{- fail (printf "%s is given twice: env may not repeat what the chart or settings give" $name) }}
{{- end }}
{{- $names = append $names $name }}
{{- end }}
{{- end }}
{{- if and $values.ingress.enabled (not $values.ingress.hosts) }}
{{- fail "ingress needs a name in ingress.hosts" }}
{{- end }}
{{- end }}
