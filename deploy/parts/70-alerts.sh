# shellcheck shell=bash disable=SC2016 # printed variables
# Who is told, and of what: one policy a file in deploy/alerts.
step "Alerts"

if [[ ! $ALERT_EMAIL ]]; then
  echo "# ALERT_EMAIL is empty: nobody is told of failures"
  return
fi

find=(beta monitoring channels list "--filter=type=\"email\" AND labels.email_address=\"$ALERT_EMAIL\""
  '--format=value(name)')
see "${find[@]}" || true
if [[ $LOOKED ]]; then
  kept "the channel to $ALERT_EMAIL"
else
  cloud beta monitoring channels create --type=email "--display-name=Composable CDP" \
    "--channel-labels=email_address=$ALERT_EMAIL" --format=none
  see "${find[@]}" || true
fi
CHANNEL=${LOOKED%%$'\n'*}
if [[ $DRY_RUN ]]; then
  CHANNEL='$CHANNEL'
  printf 'CHANNEL=$(%s)\n' "$(shown gcloud "${find[@]}" "--project=$PROJECT")"
fi

for file in deploy/alerts/*.json; do
  name=${file##*/}
  name=${name%.json}
  stamp=$(digest "$(digest_of "$file")" "$ALERT_EMAIL")
  see alpha monitoring policies list "--filter=userLabels.cdp=\"$name\"" \
    '--format=value[separator=" "](name,userLabels.stamp)' || true
  read -r policy found <<<"$LOOKED" || true
  if [[ $policy && $found == "$stamp" ]]; then
    kept "the alert $name"
  elif [[ $policy ]]; then
    cloud alpha monitoring policies update "$policy" "--policy-from-file=$file" \
      "--set-notification-channels=$CHANNEL" "--update-user-labels=cdp=$name,stamp=$stamp" \
      --format=none
  else
    cloud alpha monitoring policies create "--policy-from-file=$file" \
      "--notification-channels=$CHANNEL" "--user-labels=cdp=$name,stamp=$stamp" --format=none
  fi
done
