{{- define "sower.name" -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "sower.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "sower.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "sower.selector" -}}
app.kubernetes.io/name: sower
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sower.labels" -}}
{{ include "sower.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "sower.sqlite" -}}
{{- if not .Values.database.secretRef.name -}}true{{- end -}}
{{- end -}}

{{- /* Why one Pod is all there may be: SQLite has one writer, and without an election every Pod would lead. */ -}}
{{- define "sower.alone" -}}
{{- if include "sower.sqlite" . -}}SQLite on a volume takes 1: set database.secretRef.name, or replicas to 1
{{- else if not .Values.leaderElection.enabled -}}without leader election every Pod would lead: set leaderElection.enabled, or replicas to 1
{{- end -}}
{{- end -}}

{{- define "sower.replicas" -}}
{{- $wished := .Values.replicas -}}
{{- $alone := include "sower.alone" . -}}
{{- if kindIs "invalid" $wished -}}
{{- ternary 2 1 (empty $alone) -}}
{{- else if and $alone (gt (int $wished) 1) -}}
{{- fail (printf "replicas is %d, and %s" (int $wished) $alone) -}}
{{- else -}}
{{- int $wished -}}
{{- end -}}
{{- end -}}

{{- define "sower.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}
