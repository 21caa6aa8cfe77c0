# shellcheck shell=bash
# Stands in for `gcloud` and `bq`; the scripts that source it set FOLDER and TOOL. It knows no rule of
# Google's: flags are checked against the real gcloud.
#
#   FOLDER/things/KEY    what exists; its content is what describing it tells
#   FOLDER/rights/KEY    a policy, as gcloud lists it or as a dataset's access
#   FOLDER/told/NAME     what to answer instead: account, billing, export
#   FOLDER/said          every call, as a shell reads it
#   FOLDER/calls         those that change something, without flags
#   FAKE_BREAKS_AFTER    how many of those succeed
shopt -s extglob

words=()
declare -A flags=()
for word; do
  case $word in
    --*=*) flags[${word%%=*}]+=${word#*=} ;;
    -*) ;;
    *) words+=("$word") ;;
  esac
done

quoted=$TOOL
for word; do
  flag=
  if [[ $word =~ ^--[a-z_-]+= ]]; then flag=${BASH_REMATCH[0]}; fi
  word=${word#"$flag"}
  if [[ $word == *[!A-Za-z0-9_@%+=:,./-]* ]]; then word=${word@Q}; fi
  quoted+=" $flag$word"
done
echo "$quoted" >>"$FOLDER/said"

path="${words[*]}"

# What names a thing, whatever is done to it.
key=
for word in "${words[@]}"; do
  case $word in
    describe | create | update | deploy | delete | add | http | alpha | beta) ;;
    get-iam-policy | add-iam-policy-binding | remove-iam-policy-binding | show | mk | rm) ;;
    services) [[ $path == *run\ * ]] || key+=" $word" ;;
    1) ;; # a secret's version, which is added without a number
    *@*.iam.gserviceaccount.com) key+=" ${word%%@*}" ;; # created by its name alone
    *) key+=" $word" ;;
  esac
done
key+=" ${flags[--database]-}${flags[--service]-}${flags[--secret]-}"
key=${key//\//:}
key=${key##+( )}
key=${key%%+( )}

# How a field is indexed, in the API's words: order=ascending is order": "ASCENDING.
config() {
  local how=${1%%=*} value=${1#*=}
  if [[ $how == array-config ]]; then how=arrayConfig; fi
  echo "$how\": \"${value^^}"
}

told() { if [[ -f $FOLDER/told/$1 ]]; then cat "$FOLDER/told/$1"; else echo "$2"; fi; }

if [[ $TOOL == bq && $path == show* ]]; then
  if [[ $key == *:analytics_1 ]]; then place=$(told export EU); else place=EU; fi
  if [[ ! $place || ($key != *:analytics_1 && ! -e $FOLDER/things/$key) ]]; then
    echo "BigQuery error in show operation: Not found: Dataset $key"
    exit 2
  fi
  printf '{"access": [%s], "location": "%s"}\n' \
    "$(if [[ -e $FOLDER/rights/$key ]]; then paste -sd, "$FOLDER/rights/$key"; fi)" "$place"
  exit
fi

case $path in
  auth\ application-default*) exit ;;
  auth\ list) told account ada@example.com; exit ;;
  projects\ describe*)
    if [[ ${flags[--format]} == *Number* ]]; then echo 123456789012; else echo ACTIVE; fi
    exit ;;
  billing*) told billing True; exit ;;
  services\ list) if [[ -e $FOLDER/apis ]]; then cat "$FOLDER/apis"; fi; exit ;;
  run\ regions\ list) printf 'europe-west1\neurope-west4\n'; exit ;;
  firestore\ indexes\ *\ list)
    if [[ -e $FOLDER/${words[2]} ]]; then echo "[$(paste -sd, "$FOLDER/${words[2]}")]"; else echo '[]'; fi
    exit ;;
  *get-iam-policy*)
    if [[ ! -e $FOLDER/rights/$key ]]; then exit; fi
    # A column without a value leaves the space before it.
    if [[ ${flags[--format]} == *title* ]]; then rest=" "; else rest=; fi
    sed "s/^\([^ ]* [^ ]*\) *$/\1$rest/" "$FOLDER/rights/$key"
    exit ;;
  *monitoring\ channels\ list) if [[ -e $FOLDER/things/channel ]]; then echo channels/1; fi; exit ;;
  *monitoring\ policies\ list)
    name=${flags[--filter]#*\"}
    name=${name%\"}
    if [[ -e $FOLDER/things/alert-$name ]]; then
      if [[ ${flags[--format]} == *stamp* ]]; then
        echo "policies/$name $(<"$FOLDER/things/alert-$name")"
      else
        echo "policies/$name"
      fi
    fi
    exit ;;
  *describe*)
    if [[ ! -e $FOLDER/things/$key ]]; then echo "ERROR: NOT_FOUND: $key" >&2; exit 1; fi
    if [[ ${flags[--format]-} == *locationId* ]]; then
      printf 'FIRESTORE_NATIVE\teur3\n'
    else
      cat "$FOLDER/things/$key"
    fi
    exit ;;
esac

done=0
if [[ -e $FOLDER/calls ]]; then mapfile -t calls <"$FOLDER/calls"; done=${#calls[@]}; fi
if ((done >= ${FAKE_BREAKS_AFTER:-1000000})); then echo "ERROR: the line is cut" >&2; exit 1; fi
file=${flags[--policy-from-file]-}
index=${flags[--collection-group]-}${flags[--field-config]-}
echo "$TOOL $path${file:+ $file}${index:+ $index}" >>"$FOLDER/calls"

label=${flags[--labels]-}${flags[--update-labels]-}${flags[--user-labels]-}${flags[--update-user-labels]-}
case $TOOL\ $path in
  gcloud\ services\ enable*) printf '%s\n' "${words[@]:2}" >>"$FOLDER/apis" ;;
  *add-iam-policy-binding*)
    title=
    if [[ ${flags[--condition]-} == *title=* ]]; then title=${flags[--condition]##*title=}; fi
    echo "${flags[--role]} ${flags[--member]} $title" >>"$FOLDER/rights/$key" ;;
  *remove-iam-policy-binding* | *services\ identity\ create*) ;;
  *firestore\ indexes*)
    group=${flags[--collection-group]} fields=() scope='"queryScope": "COLLECTION"'
    for word; do
      case $word in
        --field-config=*) # field-path=PATH,HOW=VALUE
          path=${word#*path=} how=${word##*,}
          fields+=("{\"fieldPath\": \"${path%,*}\", \"$(config "$how")\"}") ;;
        --index=*) # HOW=VALUE
          fields+=("{$scope, \"fields\": [{\"fieldPath\": \"-\", \"$(config "${word#*=}")\"}]}") ;;
      esac
    done
    joined=$(IFS=,; echo "${fields[*]}")
    if [[ ${words[2]} == composite ]]; then # Google adds the name at the end
      echo "{\"name\": \"p/collectionGroups/$group/indexes/1\", $scope, \"fields\":" \
        "[$joined, {\"fieldPath\": \"__name__\", \"order\": \"ASCENDING\"}]}" >>"$FOLDER/composite"
    else
      echo "{\"name\": \"p/collectionGroups/$group/fields/${words[-1]}\", \"indexConfig\":" \
        "{\"indexes\": [$joined]}}" >>"$FOLDER/fields"
    fi ;;
  *monitoring\ channels\ create*) touch "$FOLDER/things/channel" ;;
  *policies\ delete*) rm "$FOLDER/things/alert-${words[-1]#policies/}" ;;
  *policies\ create* | *policies\ update*)
    name=${label#cdp=}
    echo "${label#*stamp=}" >"$FOLDER/things/alert-${name%%,*}" ;;
  *secrets\ versions\ add*)
    cat >"$FOLDER/secret-${words[-1]}"
    echo ENABLED >"$FOLDER/things/$key" ;;
  bq\ query*GRANT*)
    grant=${words[-1]}
    IFS='`' read -r _ role _ project _ dataset _ <<<"$grant"
    role=${role/roles\/bigquery.dataViewer/READER}
    role=${role/roles\/bigquery.dataEditor/WRITER}
    email=${grant##*serviceAccount:}
    printf '{"role": "%s", "userByEmail": "%s"}\n' "$role" "${email%\"}" >>"$FOLDER/rights/$project:$dataset" ;;
  bq\ query*) ;;
  *storage\ rm*) rm "$FOLDER/things/storage buckets ${words[-1]//\//:}" ;;
  *\ delete* | bq\ rm* | *bulk-delete*) rm -f "$FOLDER/things/$key" ;;
  *)
    text=${label#cdp=}
    echo "${text:-${flags[--description]-made}}" >"$FOLDER/things/$key" ;;
esac
