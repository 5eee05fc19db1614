#!/bin/sh
# Fill the limits into nginx.conf, turn TLS on where a certificate is mounted, and become nginx.
set -eu
here=$(dirname "$0")
tls=/etc/nginx/tls

number() { # NAME: the variable's value, which must be a plain number
    eval "value=\${$1:-}"
    case $value in
        '' | *[!0-9]*) echo "proxy: $1 must be a whole number, got '$value'" >&2; exit 2 ;;
    esac
    echo "$value"
}

json_bytes=$(number NMTUNE_MAX_JSON_BYTES)
upload_bytes=$(number NMTUNE_MAX_UPLOAD_BYTES)
connections=$(number PROXY_REQUESTS_PER_ADDRESS)

listen='listen 8080;'
if [ -e $tls/tls.crt ]; then
    if [ ! -r $tls/tls.crt ] || [ ! -r $tls/tls.key ]; then
        echo "proxy: tls.crt and tls.key must be readable for uid $(id -u)" >&2
        exit 2
    fi
    listen="listen 8080 ssl http2; ssl_certificate $tls/tls.crt; ssl_certificate_key $tls/tls.key;"
fi

mkdir -p /tmp/nginx
sed -e "s|@LISTEN@|$listen|" -e "s|@MAX_JSON_BYTES@|$json_bytes|" \
    -e "s|@MAX_UPLOAD_BYTES@|$upload_bytes|" -e "s|@REQUESTS_PER_ADDRESS@|$connections|" \
    "$here/nginx.conf" >/tmp/nginx/nginx.conf
exec nginx -e stderr -c /tmp/nginx/nginx.conf
