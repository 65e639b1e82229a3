# kvtuner and llama.cpp's server in one image:
#   docker build -t kvtuner .
#   docker run --rm -v "$PWD:/models" kvtuner tune -m /models/model.gguf -o /models/tuned
#   docker run --rm -p 127.0.0.1:8080:8080 -v "$PWD:/models" kvtuner serve -m /models/model.gguf --plan /models/tuned/plan.json -- --host 0.0.0.0
FROM debian:12 AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates git
COPY . /kvtuner
WORKDIR /kvtuner
RUN scripts/deps.sh --packages && scripts/package.sh deb

FROM debian:12-slim
COPY --from=build /kvtuner/build/package/packages/kvtuner_*.deb /tmp/
RUN apt-get update && apt-get install -y --no-install-recommends /tmp/kvtuner_*.deb && rm -rf /tmp/*.deb /var/lib/apt/lists/*
# Plans that were tuned in a container are found again by the next one.
ENV XDG_DATA_HOME=/models/.kvtuner
ENTRYPOINT ["kvtuner"]
CMD ["--help"]
