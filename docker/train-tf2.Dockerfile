# TensorFlow 2.21 with the TF2 Object Detection API (patched) and the Model Garden. IMAGE: train-tf2, or the variant train-tf2-gpu.
FROM scratch AS wheels
# --build-context wheels=FOLDER puts wheels here; without it they come from the package index.

FROM python:3.12-slim-bookworm@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254 AS build
ARG SOURCE_DATE_EPOCH IMAGE=train-tf2
RUN --mount=type=bind,source=docker,target=/docker --mount=type=bind,source=patches,target=/patches \
    --mount=type=bind,source=edgemill/engines/series.py,target=/series.py --mount=type=bind,from=wheels,target=/wheels \
    sh /docker/build/install.sh $IMAGE tf2-object-detection tf-models-research-object-detection

FROM python:3.12-slim-bookworm@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH MPLBACKEND=Agg TF_USE_LEGACY_KERAS=1
ARG SOURCE REVISION VERSION IDENTITY IMAGE=train-tf2
LABEL org.opencontainers.image.title="EdgeMill $IMAGE" org.opencontainers.image.source=$SOURCE \
      org.opencontainers.image.revision=$REVISION org.opencontainers.image.version=$VERSION \
      org.edgemill.image=$IMAGE org.edgemill.identity=$IDENTITY
USER 65532:65532
